"""Measures reads by EXPLAIN (ANALYZE, BUFFERS), where nothing can be written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from actors.optimizer.parser import readable
from actors.optimizer.plans import Plan, read_plan
from actors.optimizer.shape import Shape
from actors.optimizer.workload import Statement
from actors.pool.connector import Connection

_REPEATS = 3
_REPEAT_BELOW_MS = 50.0
"""What takes longer is run once: noise is small beside it, and the server has other work."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A statement that can be measured: its text with parameters, and sets of arguments for them."""

    statement: Statement
    text: str
    shape: Shape
    arguments: Sequence[tuple[Any, ...]]

    @property
    def query_id(self) -> int:
        """The id of its form."""
        return self.statement.query_id


@dataclass(frozen=True, slots=True)
class Measures:
    """What a subject took with each of its sets of arguments, in their order, and a plan."""

    times_ms: tuple[float, ...]
    plan: Plan
    indexes: frozenset[str]
    """Those that any of the plans used."""


class Meter:
    """Runs statements on one connection, each in a READ ONLY transaction with a time limit."""

    def __init__(self, connection: Connection, *, timeout_ms: int, lock_timeout_ms: int = 200) -> None:
        self._connection = connection
        self._timeout_ms = timeout_ms
        self._lock_timeout_ms = lock_timeout_ms

    async def measure(self, subject: Subject) -> Measures:
        """Run a subject with each set of arguments.

        Of quick ones the least of some runs counts. One that runs into the time limit counts as that long. Raises
        asyncpg's errors where the statement cannot be run as it is.
        """
        times: list[float] = []
        indexes: set[str] = set()
        plan: Plan | None = None
        for arguments in subject.arguments:
            try:
                best, plan = await self._best(subject.text, arguments)
            except asyncpg.QueryCanceledError:
                best, plan = float(self._timeout_ms), await self.plan(subject.text, arguments)
            times.append(best)
            indexes |= plan.indexes
        assert plan is not None, "a subject has arguments"
        return Measures(tuple(times), plan, frozenset(indexes))

    async def plan(self, text: str, arguments: Sequence[Any]) -> Plan:
        """Return the plan without running it."""
        async with self._guarded():
            return await self._explain("FORMAT JSON, VERBOSE", text, arguments)

    async def _best(self, text: str, arguments: Sequence[Any]) -> tuple[float, Plan]:
        best: Plan | None = None
        for _ in range(_REPEATS):
            async with self._guarded():
                plan = await self._explain("ANALYZE, BUFFERS, TIMING OFF, VERBOSE, FORMAT JSON", text, arguments)
            assert plan.time_ms is not None, "it was run"
            if best is None or best.time_ms is None or plan.time_ms < best.time_ms:
                best = plan
            if plan.time_ms > _REPEAT_BELOW_MS:
                break
        assert best is not None
        assert best.time_ms is not None
        return best.time_ms, best

    async def _explain(self, options: str, text: str, arguments: Sequence[Any]) -> Plan:
        sql = f"EXPLAIN ({options}) {readable(text)}"
        answer = await self._connection.fetchval(sql, *arguments)
        return read_plan(json.loads(answer)[0])

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """Open a transaction in which the server refuses to write, and roll it back."""
        await self._connection.execute(
            f"BEGIN READ ONLY; SET LOCAL statement_timeout = {self._timeout_ms};"
            f" SET LOCAL lock_timeout = {self._lock_timeout_ms}"
        )
        try:
            yield
        finally:
            if not self._connection.is_closed():
                await asyncio.shield(self._connection.execute("ROLLBACK"))
