"""Builds and drops indexes beside running work: CONCURRENTLY, with a limit on each wait, no transaction around it."""

from __future__ import annotations

import asyncio

import asyncpg

from actors.optimizer.catalog import Index, IndexSpec, TableName, quoted
from actors.pool.connector import Connection
from actors.pool.statements import load_statements
from actors.pool.turn import TURN

_TRIES = 4
_PAUSE_S = 1.0


class NotBuilt(Exception):
    """The index could not be built, and nothing is left of it; the text says why."""


class Busy(Exception):
    """Another session changes indexes now."""


class Builder:
    """Changes indexes on one connection, which holds the right to until it is closed.

    The lock of a build (SHARE UPDATE EXCLUSIVE) stops no reader and no writer. It does wait for transactions that are
    older; where that takes too long it gives up, and what is left of it is removed.
    """

    def __init__(self, connection: Connection, *, lock_timeout_ms: int, build_timeout_s: float) -> None:
        self._connection = connection
        self._lock_timeout_ms = lock_timeout_ms
        self._build_timeout_s = build_timeout_s
        self._sql = load_statements("actors.optimizer")

    async def open(self) -> None:
        """Take the right to change indexes. Raises ``Busy``."""
        if not await self._connection.fetchval(self._sql["lock"], TURN):
            raise Busy
        await self._connection.execute(f"SET lock_timeout = {self._lock_timeout_ms}")
        await self._connection.execute(f"SET statement_timeout = {int(self._build_timeout_s * 1000)}")

    async def close(self) -> None:
        """Give the right back, and the connection its settings."""
        if self._connection.is_closed():
            return
        await self._connection.execute("RESET lock_timeout; RESET statement_timeout")
        await self._connection.execute("SELECT pg_advisory_unlock($1)", TURN)

    async def build(self, spec: IndexSpec) -> int:
        """Build an index and return its size in bytes. Raises ``NotBuilt``."""
        await self._remove_leftover(spec.table.schema, spec.name)
        return await self.run(spec.ddl(), spec.table.schema, spec.name)

    async def run(self, ddl: str, schema: str, name: str) -> int:
        """Run a statement that creates this index concurrently, and return its size. Raises ``NotBuilt``."""
        try:
            await self._connection.execute(ddl, timeout=self._build_timeout_s + 10)
        except (asyncpg.PostgresError, TimeoutError) as error:
            await self._remove_leftover(schema, name)
            raise NotBuilt(f"{type(error).__name__}: {error}") from error
        row = await self._connection.fetchrow(self._sql["index"], schema, name)
        if row is None or not row["is_valid"]:
            await self._remove_leftover(schema, name)
            raise NotBuilt("the build ended, and there is no valid index")
        return int(row["size_bytes"])

    async def drop(self, table: TableName, name: str) -> None:
        """Drop an index; safe to repeat. Waits for older transactions, some times.

        Raises:
            NotBuilt: others' transactions did not end in time; the index may be left invalid and is dropped next time.
        """
        sql = drop_ddl(table.schema, name)
        for remaining in reversed(range(_TRIES)):
            try:
                await self._connection.execute(sql, timeout=self._build_timeout_s)
                return
            except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError) as error:
                if not remaining:
                    raise NotBuilt(f"{name} cannot be dropped now: {error}") from error
                await asyncio.sleep(_PAUSE_S)

    async def is_valid(self, table: TableName, name: str) -> bool | None:
        """Tell whether an index is valid, None where there is none."""
        row = await self._connection.fetchrow(self._sql["index"], table.schema, name)
        return None if row is None else bool(row["is_valid"])

    async def _remove_leftover(self, schema: str, name: str) -> None:
        row = await self._connection.fetchrow(self._sql["index"], schema, name)
        if row is not None and not row["is_valid"]:
            await self.drop(TableName(schema, ""), name)


def drop_ddl(schema: str, name: str) -> str:
    """Return the statement that drops an index without a lock against writers."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(schema)}.{quoted(name)}"


def restore_ddl(index: Index) -> str:
    """Return the statement that builds an index again as it was."""
    return index.definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
