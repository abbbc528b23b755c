"""Reads plans of PostgreSQL: which large tables are read whole, and how many rows a statement looks at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from json import loads
from typing import Any

import asyncpg

Node = Mapping[str, Any]

# Source: choose_custom_plan in PostgreSQL's plancache.c.
_CUSTOM_PLANS = 5
_SCANS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Scan", "Sample Scan"})


async def explain(connection: asyncpg.Connection, sql: str, values: Collection[Any], options: str = "") -> Node:
    """Return the plan for these values. With ANALYZE among the options it runs, and is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        text = await connection.fetchval(f"EXPLAIN (FORMAT JSON{options}) {sql}", *values)
    finally:
        await transaction.rollback()
    plan: Node = loads(text)[0]["Plan"]
    return plan


async def explain_settled(connection: asyncpg.Connection, sql: str, values: Collection[Any]) -> Node:
    """Return the plan that a prepared statement ends up with: after five plans for the values it was given the server
    goes on with one for whatever values, where that seems to cost no more.
    """
    given = f"({', '.join(map(_literal, values))})" if values else ""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"PREPARE settled AS {sql}")
        for _ in range(_CUSTOM_PLANS + 1):
            text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE settled{given}")
        await connection.execute("DEALLOCATE settled")
    finally:
        await transaction.rollback()
    plan: Node = loads(text)[0]["Plan"]
    return plan


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    text = _array(value) if isinstance(value, list) else _text(value)
    return "'" + text.replace("'", "''") + "'"


def _array(values: list[Any]) -> str:
    return "{" + ",".join('"' + _text(each).replace("\\", "\\\\").replace('"', '\\"') + '"' for each in values) + "}"


def _text(value: Any) -> str:
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def nodes(plan: Node) -> Iterator[Node]:
    """Yield every node."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def writes(plan: Node) -> bool:
    """Tell whether the statement changes or locks anything."""
    return any(node["Node Type"] in ("ModifyTable", "LockRows") for node in nodes(plan))


def read_whole(plan: Node, large: Collection[str]) -> list[str]:
    """Return the large tables that it reads from one end to the other."""
    scans = (node for node in nodes(plan) if node["Node Type"] == "Seq Scan")
    return [node["Relation Name"] for node in scans if node["Relation Name"] in large]


def rows_looked_at(plan: Node, large: Collection[str]) -> int:
    """Return how many rows of large tables a plan that ran has touched, those that it passed over included."""
    scans = (node for node in nodes(plan) if node["Node Type"] in _SCANS and node.get("Relation Name") in large)
    return round(sum(map(_touched, scans)))


def _touched(node: Node) -> float:
    each: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return each * float(node["Actual Loops"]) + float(node.get("Rows Removed by Index Recheck", 0))
