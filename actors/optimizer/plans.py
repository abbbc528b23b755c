"""Reads plans of EXPLAIN (FORMAT JSON), and notices when a statement gets another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from actors.optimizer.catalog import TableName

SLOWER_MIN = 1.5
"""A new plan is an alarm where the statement takes so many times as long with it."""
_STATEMENTS_MAX = 5000


@dataclass(frozen=True, slots=True)
class TableScan:
    """A sequential scan: what it read for what it kept, per execution of the node."""

    table: TableName
    rows_read: float
    rows_kept: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What matters of a plan; ``time_ms`` is None where it was not run."""

    fingerprint: str
    cost: float
    time_ms: float | None
    indexes: frozenset[str]
    scans: tuple[TableScan, ...]
    pages: int
    """Pages of 8 KiB that it looked at, cached or not."""


@dataclass(frozen=True, slots=True)
class PlanAlarm:
    """A statement that got another plan and takes longer with it."""

    query_id: int
    before: str
    after: str
    before_ms: float
    after_ms: float


def read_plan(explained: Mapping[str, Any]) -> Plan:
    """Return what matters of the one element of EXPLAIN's answer."""
    root = explained["Plan"]
    nodes = list(_walk(root))
    planning = explained.get("Planning Time", 0.0)
    time_ms = explained["Execution Time"] + planning if "Execution Time" in explained else None
    return Plan(
        fingerprint=_fingerprint(root),
        cost=root["Total Cost"],
        time_ms=time_ms,
        indexes=frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        scans=tuple(_scan(node) for node in nodes if node["Node Type"] == "Seq Scan"),
        pages=root.get("Shared Hit Blocks", 0) + root.get("Shared Read Blocks", 0),
    )


class PlanBook:
    """Remembers the plan of each statement with its mean time, of the last ``_STATEMENTS_MAX``."""

    def __init__(self) -> None:
        self._plans: dict[int, tuple[str, float]] = {}

    def see(self, query_id: int, fingerprint: str, mean_ms: float) -> PlanAlarm | None:
        """Note the plan of a statement and what it takes now; return an alarm where that got worse with a new plan."""
        before = self._plans.pop(query_id, None)
        self._plans[query_id] = (fingerprint, mean_ms)
        if len(self._plans) > _STATEMENTS_MAX:
            del self._plans[next(iter(self._plans))]
        if before is None or before[0] == fingerprint or mean_ms < before[1] * SLOWER_MIN:
            return None
        return PlanAlarm(query_id, before[0], fingerprint, before[1], mean_ms)


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def _fingerprint(node: Mapping[str, Any]) -> str:
    digest = blake2b(digest_size=6)
    for each in _walk(node):
        names = (each["Node Type"], each.get("Relation Name"), each.get("Index Name"), each.get("Join Type"))
        digest.update(f"{names}{len(each.get('Plans', ()))}".encode())
    return digest.hexdigest()


def _scan(node: Mapping[str, Any]) -> TableScan:
    kept = node.get("Actual Rows", node["Plan Rows"])
    removed = node.get("Rows Removed by Filter", 0)
    return TableScan(TableName(node.get("Schema", ""), node["Relation Name"]), kept + removed, kept)
