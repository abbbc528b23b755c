"""Measures what an index would cost writers, on a copy of some rows that nobody else sees."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import asyncpg

from actors.optimizer.catalog import IndexSpec, Table, quoted
from actors.optimizer.shape import Write
from actors.optimizer.workload import Statement
from actors.pool.connector import Connection

PROBE_ROWS = 1000
_ROUNDS = 15
_COMMITS = 15


@dataclass(frozen=True, slots=True)
class WriteStatement:
    """A statement that writes, and what it writes."""

    statement: Statement
    write: Write


def write_loss(
    spec: IndexSpec, writes: Iterable[WriteStatement], table: Table, row_cost_ms: float, commit_ms: float
) -> float:
    """Return by what share a write to the table becomes slower, on the average of all calls.

    A write takes what the server says, and the commit that follows it. An update costs the new entry unless it may stay
    on its page (HOT) with this index as without it; one that no longer may costs one in each index. One load of many
    rows counts as one call, so that a table can get an index after it was filled.
    """
    calls = 0
    lost = 0.0
    for each in writes:
        taken_ms = each.statement.mean_ms + commit_ms
        if each.write.table == spec.table and taken_ms > 0:
            extra_ms = each.statement.rows_per_call * row_cost_ms * _touched(spec, each.write, table)
            calls += each.statement.calls
            lost += each.statement.calls * extra_ms / taken_ms
    return lost / calls if calls else 0.0


def _touched(spec: IndexSpec, write: Write, table: Table) -> float:
    """Return how many entries of indexes a written row costs more than it did."""
    if write.kind == "delete":
        return 0.0
    if write.kind == "insert":
        return 1.0
    hot_share = table.hot_updates / table.updates if table.updates else 0.0
    if write.columns & {*spec.columns, *spec.include} or spec.predicate is not None:
        # An update that stayed on its page has an entry in every index from now on.
        return 1.0 + hot_share * len(table.indexes)
    return 1.0 - hot_share


class WriteProbe:
    """Times inserts into temporary copies, with and without an index, in turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def row_cost_ms(self, spec: IndexSpec, table: Table) -> float:
        """Return what the index adds to the insert of one row, in milliseconds; 0 where the table is empty.

        Everything happens in one transaction that is rolled back. The copy is small, so what a large index would read
        from the disk is not in it.
        """
        columns = ", ".join(quoted(name) for name in table.columns)
        await self._connection.execute("BEGIN")
        try:
            await self._connection.execute(
                f"CREATE TEMPORARY TABLE easypay_probe_rows ON COMMIT DROP AS SELECT {columns} FROM {table.name.sql}"
                f" LIMIT {PROBE_ROWS} /* easypay-optimizer */"
            )
            rows = int(await self._connection.fetchval("SELECT count(*) FROM easypay_probe_rows"))
            if not rows:
                return 0.0
            pairs = [(await self._insert_ms(spec, False), await self._insert_ms(spec, True)) for _ in range(_ROUNDS)]
            # What disturbs a run only makes it longer: the least of each kind is nearest to the truth.
            return max(0.0, min(with_it for _, with_it in pairs) - min(without for without, _ in pairs)) / rows
        finally:
            if not self._connection.is_closed():
                await self._connection.execute("ROLLBACK")

    async def commit_ms(self) -> float:
        """Return what a commit takes beyond a statement; 0 where the role may not find out."""
        try:
            commits = await self._times("SELECT pg_logical_emit_message(true, 'easypay-optimizer', '')")
        except asyncpg.InsufficientPrivilegeError:
            return 0.0
        return max(0.0, median(commits) - median(await self._times("SELECT 1")))

    async def _insert_ms(self, spec: IndexSpec, with_index: bool) -> float:
        await self._connection.execute("CREATE TEMPORARY TABLE easypay_probe (LIKE easypay_probe_rows)")
        if with_index:
            definition = spec.definition().replace(f"ON {spec.table.sql}", "ON easypay_probe", 1)
            await self._connection.execute(f"CREATE INDEX {definition}")
        begun = time.perf_counter()
        await self._connection.execute("INSERT INTO easypay_probe SELECT * FROM easypay_probe_rows")
        taken_ms = (time.perf_counter() - begun) * 1000
        await self._connection.execute("DROP TABLE easypay_probe")
        return taken_ms

    async def _times(self, sql: str) -> Sequence[float]:
        times: list[float] = []
        for _ in range(_COMMITS):
            begun = time.perf_counter()
            await self._connection.fetchval(sql)
            times.append((time.perf_counter() - begun) * 1000)
        return times
