"""The database as a process sees it: reads, transactions and group commit on leased connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from actors.pool.connections import ConnectionPool
from actors.pool.connector import Connection, Connector
from actors.pool.faults import DRIVER_ERRORS, RESOURCE, RETRY_AFTER_S, spoils, translate
from actors.pool.gate import Gate
from actors.pool.group import GroupCommitter
from actors.pool.lease import LeasedPool, Manager
from actors.pool.line import Priority
from actors.pool.statement import BatchStatement
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Unavailable
from actors.runtime.tracing import SpanKind, child

Row = TypeVar("Row", bound=tuple[Any, ...])
Result = TypeVar("Result")

TIMEOUT_S = 5.0
_ATTRIBUTES = {"db.system.name": "postgresql"}
"""Of a span: never the statement's text or its values."""


class Database:
    """Run statements on the connections that this process has leased.

    A row that breaks a rule of the database raises ``RowRejected``; nothing done: ``Unavailable``, ``Overloaded``,
    ``DeadlineExceeded``; perhaps done: ``OutcomeUnknown``. A statement that is wrong in itself raises asyncpg's error.
    """

    def __init__(self, leased: LeasedPool) -> None:
        self._leased = leased
        self._pool = leased.pool
        self._committers: list[GroupCommitter[Any, Any]] = []

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        name: str,
        manager: Manager | None,
        want: int,
        least: int | None = None,
        command_timeout_s: float = 10.0,
        warm: int = 1,
        gate: Gate | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Database:
        """Lease up to ``want`` connections, from the manager or (tools and tests) from nobody, and make ``warm``.
        ``settings`` are those of the server that they get. With ``least`` the lease follows the load from there up.

        Returns all the same where the manager or the server is away: statements then raise ``Unavailable`` until it is
        back; with a ``gate`` at once, where it is shut.
        """
        connector = Connector(url, command_timeout_s=command_timeout_s, settings=settings or {})
        leased = LeasedPool(connector, name=name, want=want, least=least, manager=manager, gate=gate)
        await leased.start()
        await leased.pool.warm(warm)
        return cls(leased)

    @property
    def pool(self) -> ConnectionPool:
        """The connections, for who needs one for longer than a statement, and for figures."""
        return self._pool

    @property
    def committers(self) -> tuple[GroupCommitter[Any, Any], ...]:
        """Every committer that was made here, for figures."""
        return tuple(self._committers)

    async def fetch(
        self, sql: str, *args: Any, timeout_s: float = TIMEOUT_S, priority: Priority = Priority.NORMAL
    ) -> list[asyncpg.Record]:
        """Read rows; once more on another connection where the first one was lost."""
        rows: list[asyncpg.Record] = await self._read(
            lambda connection, left_s: connection.fetch(sql, *args, timeout=left_s), timeout_s, priority
        )
        return rows

    async def fetchrow(
        self, sql: str, *args: Any, timeout_s: float = TIMEOUT_S, priority: Priority = Priority.NORMAL
    ) -> asyncpg.Record | None:
        """Read the first row, None where there is none; repeated as ``fetch`` is."""
        return await self._read(
            lambda connection, left_s: connection.fetchrow(sql, *args, timeout=left_s), timeout_s, priority
        )

    async def execute(
        self, sql: str, *args: Any, timeout_s: float = TIMEOUT_S, priority: Priority = Priority.NORMAL
    ) -> str:
        """Run a statement as its own transaction, once, and return the command tag. Not repeated."""
        self._enter()
        deadline = self._now() + timeout_s
        with child("SQL execute", SpanKind.CLIENT, _ATTRIBUTES):
            async with self._pool.acquire(timeout_s, "execute", priority=priority) as connection:
                tag: str = await connection.execute(sql, *args, timeout=max(0.001, deadline - self._now()))
                return tag

    @asynccontextmanager
    async def transaction(
        self, timeout_s: float = TIMEOUT_S, priority: Priority = Priority.NORMAL
    ) -> AsyncIterator[Connection]:
        """Lend a connection with a transaction open: committed at the end, rolled back on any exception.

        The body runs statements and nothing else. Where the connection is lost or the time is over, nothing was done
        before the COMMIT, and ``OutcomeUnknown`` is raised after it was sent.
        """
        self._enter()
        deadline = self._now() + timeout_s
        committing = False
        async with self._pool.acquire(timeout_s, priority=priority) as connection:
            try:
                async with asyncio.timeout(deadline - self._now()):
                    await connection.execute("BEGIN")
                    yield connection
                    committing = True
                    await connection.execute("COMMIT")
            except Exception as error:
                connected = not connection.is_closed()
                if connected and connection.is_in_transaction() and not spoils(error):
                    # Where this fails too, the pool closes the connection and the server rolls back.
                    with suppress(OSError, *DRIVER_ERRORS):
                        await connection.execute("ROLLBACK")
                ours = translate("transaction", error, connected=connected, applies=committing)
                if ours is not None:
                    raise ours from error
                raise

    def committer(
        self,
        statement: BatchStatement[Row, Result],
        *,
        batch_max: int = 128,
        in_flight_max: int = 2,
        queue_max: int = 4096,
    ) -> GroupCommitter[Row, Result]:
        """Return a committer for the statement on these connections; ``close`` drains it."""
        committer = GroupCommitter(
            self._pool, statement, batch_max=batch_max, in_flight_max=in_flight_max, queue_max=queue_max
        )
        self._committers.append(committer)
        return committer

    async def close(self) -> None:
        """Finish what was submitted to the committers, close the connections and give the lease back."""
        await asyncio.gather(*(committer.drain() for committer in self._committers))
        await self._leased.stop()

    async def _read(
        self, ask: Callable[[Connection, float], Awaitable[Any]], timeout_s: float, priority: Priority
    ) -> Any:
        self._enter()
        deadline = self._now() + timeout_s
        try:
            return await self._read_once(ask, deadline, priority)
        except OutcomeUnknown:
            pass
        try:
            return await self._read_once(ask, deadline, priority)
        except OutcomeUnknown as lost:
            raise Unavailable(RESOURCE, lost.reason, RETRY_AFTER_S) from lost

    async def _read_once(
        self, ask: Callable[[Connection, float], Awaitable[Any]], deadline: float, priority: Priority
    ) -> Any:
        left_s = deadline - self._now()
        if left_s <= 0:
            raise DeadlineExceeded("read")
        try:
            with child("SQL read", SpanKind.CLIENT, _ATTRIBUTES):
                async with self._pool.acquire(left_s, "read", priority=priority) as connection:
                    return await ask(connection, max(0.001, deadline - self._now()))
        except OutcomeUnknown as unknown:
            if isinstance(unknown.__cause__, TimeoutError):
                raise DeadlineExceeded("read") from unknown
            raise

    def _enter(self) -> None:
        if self._pool.gate is not None:
            self._pool.gate.enter()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
