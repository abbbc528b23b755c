"""Reads what a server knows of its tables, its indexes and its statements."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.optimizer.catalog import Catalog, Column, Index, Key, Table, TableName, quoted
from actors.optimizer.workload import Statement
from actors.pool.connector import Connection
from actors.pool.statements import load_statements

VERSION_MIN = 14_00_00
"""The first with `query_id` in pg_stat_activity."""
STATEMENTS_READ_MAX = 2000
EXAMPLES_MAX = 16
_POLL_S = 0.05
_DEFAULT_OPTIONS = (0, 3)
"""Ascending with nulls last, and descending with nulls first."""


class NotSupported(Exception):
    """The server lacks what the optimizer needs; the text says what."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server is. ``observed_s``: for how long its statistics have been gathered."""

    version: int
    database: str
    observed_s: float
    search_path: tuple[str, ...]
    statements_schema: str
    hypopg_schema: str | None


async def read_facts(connection: Connection) -> Facts:
    """Return what the server is.

    Raises:
        NotSupported: it is too old, or does not have `pg_stat_statements`.
    """
    sql = load_statements("actors.optimizer")
    row = await connection.fetchrow(sql["version"])
    if row["version"] < VERSION_MIN:
        raise NotSupported(f"PostgreSQL {row['version'] // 10_000} is too old: 14 or newer is needed")
    extensions = {each["name"]: each["schema"] for each in await connection.fetch(sql["extensions"])}
    if "pg_stat_statements" not in extensions:
        raise NotSupported(
            f"the database {row['database']} has no pg_stat_statements: add it to shared_preload_libraries, restart the"
            " server, and run CREATE EXTENSION pg_stat_statements"
        )
    return Facts(
        row["version"],
        row["database"],
        row["observed_s"],
        tuple(row["search_path"]),
        extensions["pg_stat_statements"],
        extensions.get("hypopg"),
    )


async def read_catalog(connection: Connection, search_path: Iterable[str]) -> Catalog:
    """Return the tables with their columns and indexes."""
    sql = load_statements("actors.optimizer")
    rows = await connection.fetch(sql["tables"])
    names = {row["oid"]: TableName(row["schema"], row["name"]) for row in rows}
    counts = {row["oid"]: row["rows"] for row in rows}
    columns: defaultdict[int, dict[str, Column]] = defaultdict(dict)
    for row in await connection.fetch(sql["columns"]):
        values = row["distinct_values"]
        distinct = -values * counts.get(row["table_oid"], 0) if values < 0 else values
        columns[row["table_oid"]][row["name"]] = Column(row["name"], row["type"], row["width_bytes"], distinct)
    indexes: defaultdict[int, list[Index]] = defaultdict(list)
    for row in await connection.fetch(sql["indexes"]):
        if row["table_oid"] in names:
            indexes[row["table_oid"]].append(_index(row, names[row["table_oid"]]))
    references: defaultdict[int, set[tuple[str, TableName]]] = defaultdict(set)
    for row in await connection.fetch(sql["references"]):
        references[row["table_oid"]].add((row["column_name"], TableName(row["schema"], row["name"])))
    return Catalog.of(
        (
            Table(
                oid=row["oid"],
                name=names[row["oid"]],
                rows=row["rows"],
                size_bytes=row["size_bytes"],
                columns=columns[row["oid"]],
                writes=row["writes"],
                inserts=row["inserts"],
                updates=row["updates"],
                hot_updates=row["hot_updates"],
                indexes=tuple(indexes[row["oid"]]),
                is_partitioned=row["is_partitioned"],
                references=frozenset(references[row["oid"]]),
            )
            for row in rows
        ),
        search_path,
    )


async def read_statements(connection: Connection, facts: Facts) -> list[Statement]:
    """Return what the database ran, the costliest first."""
    sql = load_statements("actors.optimizer")["statements"].format(schema=quoted(facts.statements_schema))
    rows = await connection.fetch(sql, STATEMENTS_READ_MAX)
    return [Statement(*row) for row in map(tuple, rows)]


class Examples:
    """Statements as they were sent, by the id of their form: what `pg_stat_statements` replaced stands in them."""

    def __init__(self) -> None:
        self._texts: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def see(self, query_id: int, text: str) -> None:
        """Note one; of each form the last ``EXAMPLES_MAX`` are kept."""
        texts = self._texts[query_id]
        texts[text] = texts.pop(text, 0) + 1
        if len(texts) > EXAMPLES_MAX:
            del texts[next(iter(texts))]

    def of(self, query_id: int) -> Mapping[str, int]:
        """Return the texts of a form, with how often each was seen."""
        return self._texts.get(query_id, {})

    async def watch(self, connection: Connection, for_s: float) -> None:
        """Look on for a while."""
        sql = load_statements("actors.optimizer")["examples"]
        loop = asyncio.get_running_loop()
        end = loop.time() + for_s
        while True:
            for row in await connection.fetch(sql):
                self.see(row["query_id"], row["text"])
            if loop.time() >= end:
                return
            await asyncio.sleep(_POLL_S)


async def volatile_functions(connection: Connection, names: Iterable[str]) -> frozenset[str]:
    """Return those of these names that a function bears which may do something."""
    sql = load_statements("actors.optimizer")["volatile_functions"]
    return frozenset(row["name"] for row in await connection.fetch(sql, sorted(names)))


def _index(row: Any, table: TableName) -> Index:
    options = row["options"]
    keys = None
    if row["keys"] is not None and all(option in _DEFAULT_OPTIONS for option in options):
        keys = tuple(Key(name, option == 3) for name, option in zip(row["keys"], options, strict=True))
    return Index(
        oid=row["oid"],
        table=table,
        name=row["name"],
        keys=keys,
        include=tuple(row["include"]),
        predicate=row["predicate"],
        definition=row["definition"],
        method=row["method"],
        size_bytes=row["size_bytes"],
        scans=row["scans"],
        unique=row["is_unique"],
        constrains=row["constrains"],
        valid=row["is_valid"],
        special=row["special"],
    )
