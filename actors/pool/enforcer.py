"""What the manager asks the server: who is connected, how many may be, and the end of those whose lease ran out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from actors.pool.connector import Connection, Connector
from actors.pool.messages import Enforcement

# How long a server process may take to end: it does so between two steps of a statement.
END_TIMEOUT_MS = 2000

# Waits for each process to be gone: before that, the server still counts it.
_END_LEASE = f"""
SELECT count(*) FILTER (WHERE NOT pg_terminate_backend(pid, {END_TIMEOUT_MS}))
FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()
"""
_END_STRANGERS = f"""
SELECT count(*) FILTER (WHERE NOT pg_terminate_backend(pid, {END_TIMEOUT_MS}))
FROM pg_stat_activity
WHERE starts_with(application_name, $1) AND application_name <> ALL ($2::text[]) AND pid <> pg_backend_pid()
"""
_COUNT = "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, $1)"
_PRESENT = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name = ANY ($1::text[])"
# Limits of the role and of the database are for their own sessions alone; -1: there is none.
_CAPACITY = """
SELECT least(
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
)
"""


class Enforcer:
    """Works on one connection of its own, which the budget leaves room for.

    The role needs the right to end other sessions: those of its own role, or ``pg_signal_backend``. Every method raises
    ``Unavailable`` or asyncpg's errors where the server cannot be reached, and is safe to repeat.
    """

    def __init__(self, database_url: Callable[[], str], *, prefix: str) -> None:
        self._database_url = database_url
        self._prefix = prefix
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def enforce(self, enforcement: Enforcement) -> bool:
        """End the connections; return whether all of them are gone."""
        if enforcement.lease_id is None:
            left = await self._ask(_END_STRANGERS, self._prefix, sorted(enforcement.known))
        else:
            left = await self._ask(_END_LEASE, enforcement.lease_id)
        return left == 0

    async def end(self, name: str) -> bool:
        """End the connections of another cluster, all of them; return whether none is left."""
        return await self._ask(_END_STRANGERS, f"{name}/", []) == 0

    async def count(self) -> int:
        """Return how many connections bear a lease's name."""
        return await self._ask(_COUNT, self._prefix)

    async def present(self, lease_ids: Sequence[str]) -> frozenset[str]:
        """Return those leases of which the server shows a connection."""
        return frozenset(row["application_name"] for row in await self._fetch(_PRESENT, list(lease_ids)))

    async def capacity(self) -> int:
        """Return how many sessions of this role there may be on this database, without those reserved for others."""
        return await self._ask(_CAPACITY)

    async def close(self) -> None:
        """End the connection; a later call makes another."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _ask(self, sql: str, *arguments: object) -> int:
        return int((await self._fetch(sql, *arguments))[0][0])

    async def _fetch(self, sql: str, *arguments: object) -> Sequence[Any]:
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await Connector(self._database_url()).connect("easypay-pool-manager")
            try:
                rows: Sequence[Any] = await self._connection.fetch(sql, *arguments)
            except BaseException:
                await self.close()
                raise
            return rows
