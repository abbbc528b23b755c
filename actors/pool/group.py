"""Group commit: the rows of concurrent requests share one statement, one round trip and one commit.

A batch is one autocommit statement. A row that breaks a rule of the database fails alone: its batch is halved until
only it fails. A batch that met a deadlock or lost its connection runs again whole, each row being repeatable by the id
that it carries. Source: DeWitt et al., Implementation Techniques for Main Memory Database Systems, SIGMOD 1984.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from actors.pool.connections import ConnectionPool
from actors.pool.faults import RESOURCE, RETRY_AFTER_S
from actors.pool.line import Priority
from actors.pool.statement import BatchStatement
from actors.runtime.coalescer import Coalescer
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, RowRejected, Unavailable
from actors.runtime.tracing import SpanKind, child

Row = TypeVar("Row", bound=tuple[Any, ...])
Result = TypeVar("Result")

# A restart of PostgreSQL takes one to three seconds: most rows in flight survive it without their caller noticing.
RETRY_S = 3.0
BACKOFF_MIN_S = 0.02
BACKOFF_MAX_S = 0.5
# Longer than a row may be repeated and its last statement may take under load, and within a request's own deadline.
SUBMIT_TIMEOUT_S = 10.0


@dataclass(slots=True)
class CommitterStats:
    """What a committer has done since it was made."""

    rows: int = 0
    batches: int = 0
    repeats: int = 0
    splits: int = 0
    rejected: int = 0


@dataclass(slots=True)
class _Part:
    """Rows of one batch that run together: where each stands in the batch, and what is known of earlier tries."""

    indices: Sequence[int]
    unknown: OutcomeUnknown | None = None

    def halves(self) -> tuple[_Part, _Part]:
        """Return two parts; the one to run first comes last, for they are taken from a stack."""
        half = len(self.indices) // 2
        return _Part(self.indices[half:], self.unknown), _Part(self.indices[:half], self.unknown)


class GroupCommitter(Generic[Row, Result]):
    """Run one batch statement for the rows of many callers, on at most ``in_flight_max`` connections."""

    def __init__(
        self,
        pool: ConnectionPool,
        statement: BatchStatement[Row, Result],
        *,
        batch_max: int = 128,
        in_flight_max: int = 2,
        queue_max: int = 4096,
        retry_s: float = RETRY_S,
    ) -> None:
        self._pool = pool
        self._statement = statement
        self._retry_s = retry_s
        # Rows that are written are what payments wait for.
        self._priority = Priority.URGENT if statement.writes else Priority.NORMAL
        self._stats = CommitterStats()
        self._span_name = f"SQL {statement.name}"
        self._attributes = {"db.system.name": "postgresql", "db.query.summary": statement.name}
        self._coalescer: Coalescer[Row, Result | None] = Coalescer(
            self._commit,
            name=statement.name,
            batch_max=batch_max,
            in_flight_max=in_flight_max,
            queue_max=queue_max,
            key=statement.key,
            writes=statement.writes,
        )

    @property
    def name(self) -> str:
        """The statement's name."""
        return self._statement.name

    @property
    def stats(self) -> CommitterStats:
        """Counters since this committer was made."""
        return self._stats

    @property
    def queue_depth(self) -> int:
        """Rows that wait for a batch."""
        return self._coalescer.queue_depth

    def submit(self, row: Row, *, timeout_s: float | None = SUBMIT_TIMEOUT_S) -> Coroutine[Any, Any, Result | None]:
        """Run the statement for a row, with others, and return what it returned for this row: None if nothing.

        Raises ``RowRejected`` where this row breaks a rule of the database. Nothing was done: ``Overloaded`` (queue
        full), ``Unavailable`` (the gate is shut, no connection, or conflicts without end), ``DeadlineExceeded`` (still
        queued after ``timeout_s``). ``OutcomeUnknown``: it was sent and may have been done. An error of the statement
        itself is raised as asyncpg's.
        """
        if self._pool.gate is not None:
            self._pool.gate.enter()
        return self._coalescer.submit(row, timeout_s)

    async def drain(self) -> None:
        """Wait for the rows that were submitted, and refuse others from now on."""
        await self._coalescer.drain()

    async def _commit(self, rows: list[Row]) -> list[Result | BaseException | None]:
        """Run a batch; return each row's outcome, in order."""
        outcomes: list[Result | BaseException | None] = [None] * len(rows)
        give_up = asyncio.get_running_loop().time() + self._retry_s
        parts = [_Part(self._in_lock_order(rows))]
        while parts:
            part = parts.pop()
            try:
                await self._repeat(part, rows, outcomes, give_up)
            except RowRejected as rejected:
                if len(part.indices) > 1:
                    self._stats.splits += 1
                    parts += part.halves()
                else:
                    self._stats.rejected += 1
                    outcomes[part.indices[0]] = rejected
            except Exception as error:
                for index in part.indices:
                    outcomes[index] = error
        self._stats.rows += len(rows)
        return outcomes

    def _in_lock_order(self, rows: list[Row]) -> Sequence[int]:
        key = self._statement.key
        if key is None or len(rows) == 1:
            return range(len(rows))
        keys = list(map(key, rows))
        return sorted(range(len(rows)), key=keys.__getitem__)

    async def _repeat(
        self, part: _Part, rows: list[Row], outcomes: list[Result | BaseException | None], give_up: float
    ) -> None:
        """Run a part until it is done, refused by the database, or the time for it is over."""
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_MIN_S
        failure: OutcomeUnknown | Unavailable
        while True:
            try:
                return await self._run(part.indices, rows, outcomes)
            except OutcomeUnknown as unknown:
                if self._statement.writes:
                    part.unknown = failure = unknown
                else:
                    failure = Unavailable(RESOURCE, unknown.reason, RETRY_AFTER_S)
            except Unavailable as unavailable:
                failure = part.unknown or unavailable
            except Overloaded as overloaded:
                raise part.unknown or overloaded from None
            pause_s = random.uniform(0, backoff_s)
            if loop.time() + pause_s >= give_up:
                raise failure
            self._stats.repeats += 1
            await asyncio.sleep(pause_s)
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    async def _run(
        self, indices: Sequence[int], rows: list[Row], outcomes: list[Result | BaseException | None]
    ) -> None:
        statement = self._statement
        chosen = rows if len(indices) == len(rows) and type(indices) is range else [rows[index] for index in indices]
        try:
            with child(self._span_name, SpanKind.CLIENT, self._attributes) as span:
                if span is not None:
                    span.set_attribute("db.operation.batch.size", len(chosen))
                async with self._pool.acquire(self._retry_s, statement.name, priority=self._priority) as connection:
                    records = await connection.fetch(statement.sql, *zip(*chosen, strict=True))
        except DeadlineExceeded:
            # The wait for a connection was over; to the caller that is a bound, not its own deadline.
            raise Overloaded("database connections", RETRY_AFTER_S) from None
        self._stats.batches += 1
        assert len(records) <= len(chosen), f"{statement.name} returned more rows than it was given"
        result = statement.result
        for record in records:
            outcomes[indices[record["ordinal"] - 1]] = result(record)
