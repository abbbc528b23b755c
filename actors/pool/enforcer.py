"""Ends connections at the server, for leases that ran out while their holder may still live."""

from __future__ import annotations

from collections.abc import Callable

from actors.pool.budget import Enforcement
from actors.pool.connector import Connection, Connector

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


class Enforcer:
    """Works on a connection of its own, made for each use, which the budget leaves room for.

    The role needs the right to end other sessions: those of its own role, or ``pg_signal_backend``. Every method raises
    ``Unavailable`` where the server cannot be reached, and is safe to repeat.
    """

    def __init__(self, database_url: Callable[[], str], *, prefix: str) -> None:
        self._database_url = database_url
        self._prefix = prefix

    async def enforce(self, enforcement: Enforcement) -> bool:
        """End the connections; return whether all of them are gone."""
        if enforcement.lease_id is None:
            left = await self._ask(_END_STRANGERS, self._prefix, sorted(enforcement.known))
        else:
            left = await self._ask(_END_LEASE, enforcement.lease_id)
        return left == 0

    async def count(self) -> int:
        """Return how many connections bear a lease's name."""
        return await self._ask(_COUNT, self._prefix)

    async def _ask(self, sql: str, *arguments: object) -> int:
        connection: Connection = await Connector(self._database_url()).connect("easypay-pool-manager")
        try:
            return int(await connection.fetchval(sql, *arguments))
        finally:
            connection.terminate()
