"""The database as a process sees it: reads, transactions and group commit on leased connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from actors.pool.client import PoolManagerClient
from actors.pool.connections import ConnectionPool
from actors.pool.group import GroupCommitter
from actors.pool.lease import FixedLease, Lease, ManagedLease
from actors.pool.statement import BatchStatement
from actors.runtime.errors import OutcomeUnknown, Unavailable

Row = TypeVar("Row", bound=tuple[Any, ...])
Result = TypeVar("Result")

_LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError)
_RETRY_AFTER_S = 1.0


class Database:
    """Runs statements on the connections that this process has leased."""

    def __init__(self, pool: ConnectionPool, lease: Lease) -> None:
        self._pool = pool
        self._lease = lease
        self._committers: list[GroupCommitter[Any, Any]] = []

    @classmethod
    async def open(cls, url: str, *, name: str, manager: PoolManagerClient | None, want: int) -> Database:
        """Lease up to `want` connections under `name`, from the manager or (for tools and tests) for oneself.

        Returns at once where the manager or the database is away: statements fail with Unavailable until it is back.
        """
        lease: Lease = FixedLease(name, want) if manager is None else ManagedLease(manager, name, want)
        pool = ConnectionPool(url, name=lease.name, size=0)
        await lease.start(pool)
        return cls(pool, lease)

    async def fetch(self, sql: str, *arguments: Any, timeout_s: float = 5.0) -> list[asyncpg.Record]:
        """Read rows; again once where the connection is lost."""
        try:
            return await self._fetch(sql, arguments, timeout_s)
        except _LOST:
            pass
        try:
            return await self._fetch(sql, arguments, timeout_s)
        except _LOST as error:
            raise Unavailable("database", type(error).__name__, _RETRY_AFTER_S) from error

    async def fetchrow(self, sql: str, *arguments: Any, timeout_s: float = 5.0) -> asyncpg.Record | None:
        """Read the first row; again once where the connection is lost."""
        rows = await self.fetch(sql, *arguments, timeout_s=timeout_s)
        return rows[0] if rows else None

    async def execute(self, sql: str, *arguments: Any, timeout_s: float = 5.0) -> str:
        """Write, once, and return the command tag.

        Raises:
            OutcomeUnknown: the connection was lost on the way.
        """
        async with self._pool.acquire(timeout_s) as connection:
            try:
                tag: str = await connection.execute(sql, *arguments, timeout=timeout_s)
            except _LOST as error:
                raise OutcomeUnknown("execute", type(error).__name__) from error
            return tag

    @asynccontextmanager
    async def transaction(self, timeout_s: float = 5.0) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection with a transaction open: committed at the end, rolled back on an exception."""
        async with self._pool.acquire(timeout_s) as connection, connection.transaction():
            yield connection

    def committer(
        self,
        statement: BatchStatement[Row, Result],
        *,
        batch_max: int = 128,
        in_flight_max: int = 2,
        queue_max: int = 4096,
    ) -> GroupCommitter[Row, Result]:
        """Return a committer for the statement on this database's connections."""
        committer = GroupCommitter(
            self._pool, statement, batch_max=batch_max, in_flight_max=in_flight_max, queue_max=queue_max
        )
        self._committers.append(committer)
        return committer

    async def close(self) -> None:
        """Finish what was submitted, close the connections and give the lease back."""
        for committer in self._committers:
            await committer.drain()
        await self._pool.close()
        await self._lease.stop()

    async def _fetch(self, sql: str, arguments: tuple[Any, ...], timeout_s: float) -> list[asyncpg.Record]:
        async with self._pool.acquire(timeout_s) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments, timeout=timeout_s)
            return rows
