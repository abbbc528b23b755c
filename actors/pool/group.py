"""Group commit: concurrent requests share one statement, one round trip and one commit.

A row that breaks a rule of the database fails alone: its batch is halved until only it fails. A batch whose
connection was lost runs again, for nobody knows whether it was done, and each row is repeatable by its own id.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import asyncpg

from actors.pool.connections import ConnectionPool
from actors.pool.statement import BatchStatement
from actors.runtime.coalescer import Coalescer
from actors.runtime.errors import ActorError, OutcomeUnknown, RowRejected, Unavailable

Row = TypeVar("Row", bound=tuple[Any, ...])
Result = TypeVar("Result")

_ROW_ERRORS = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
_NOTHING_DONE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError, TimeoutError)
_RETRY_AFTER_S = 1.0
_BACKOFF_S = 0.02
_BACKOFF_MAX_S = 0.5


class GroupCommitter(Generic[Row, Result]):
    """Runs one batch statement for the rows of many callers."""

    def __init__(
        self,
        pool: ConnectionPool,
        statement: BatchStatement[Row, Result],
        *,
        batch_max: int = 128,
        in_flight_max: int = 2,
        queue_max: int = 4096,
        retry_s: float = 3.0,
    ) -> None:
        self._pool = pool
        self._statement = statement
        self._retry_s = retry_s
        self._coalescer: Coalescer[Row, Result | None] = Coalescer(
            self._send,
            name=statement.name,
            batch_max=batch_max,
            in_flight_max=in_flight_max,
            queue_max=queue_max,
            key=statement.key,
        )

    async def submit(self, row: Row) -> Result | None:
        """Run the statement for a row, together with others, and return what it returned for this row, or None.

        Raises:
            RowRejected: the row breaks a rule of the database.
            Overloaded: the queue is full; nothing was done.
            Unavailable: no connection could be made; nothing was done.
            OutcomeUnknown: it was sent, the connection was lost, and it could not be repeated in time.
        """
        return await self._coalescer.submit(row)

    async def drain(self) -> None:
        """Wait for the rows that were submitted, and refuse others."""
        await self._coalescer.drain()

    async def _send(self, rows: list[Row]) -> Sequence[Result | None | BaseException]:
        key = self._statement.key
        if key is None or len(rows) == 1:
            return await self._run(rows)
        order = sorted(range(len(rows)), key=lambda index: key(rows[index]))
        outcomes = await self._run([rows[index] for index in order])
        unsorted: list[Result | None | BaseException] = [None] * len(rows)
        for index, outcome in zip(order, outcomes, strict=True):
            unsorted[index] = outcome
        return unsorted

    async def _run(self, rows: list[Row]) -> list[Result | None | BaseException]:
        try:
            return await self._repeated(rows)
        except _ROW_ERRORS as error:
            if len(rows) == 1:
                constraint = getattr(error, "constraint_name", None)
                return [RowRejected(self._statement.name, error.sqlstate, constraint)]
        except ActorError as error:
            return [error] * len(rows)
        half = len(rows) // 2
        return [*await self._run(rows[:half]), *await self._run(rows[half:])]

    async def _repeated(self, rows: list[Row]) -> list[Result | None | BaseException]:
        """Run until it is known to be done, or the time for that is over."""
        give_up = time.monotonic() + self._retry_s
        perhaps_done: str | None = None
        backoff_s = _BACKOFF_S
        while True:
            reason: ActorError
            try:
                return await self._once(rows)
            except Unavailable as error:
                reason = error
            except _NOTHING_DONE as error:
                reason = Unavailable("database", type(error).__name__, _RETRY_AFTER_S)
            except _LOST as error:
                perhaps_done = f"the connection was lost: {type(error).__name__}"
                reason = Unavailable("database", perhaps_done, _RETRY_AFTER_S)
            if time.monotonic() + backoff_s > give_up:
                if perhaps_done is not None:
                    raise OutcomeUnknown(self._statement.name, perhaps_done)
                raise reason
            await asyncio.sleep(random.uniform(0, backoff_s))
            backoff_s = min(_BACKOFF_MAX_S, backoff_s * 2)

    async def _once(self, rows: list[Row]) -> list[Result | None | BaseException]:
        statement = self._statement
        async with self._pool.acquire(self._retry_s) as connection:
            records = await connection.fetch(statement.sql, *zip(*rows, strict=True))
        results: list[Result | None | BaseException] = [None] * len(rows)
        for record in records:
            results[record["ordinal"] - 1] = statement.result(record)
        return results
