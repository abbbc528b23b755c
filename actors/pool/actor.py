"""The pool manager: one for each database server."""

from __future__ import annotations

import time
from collections.abc import Callable

import asyncpg

from actors.pool.budget import ConnectionBudget

POOL_MANAGER_NAME = "pool-manager"
LEASE_TTL_S = 5.0
"""Long enough that a busy event loop renews in time, short enough that a dead process is not missed for long."""
_TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY($1::text[])"


class PoolManagerActor:
    """Leases connections within the server's budget and takes back those of dead processes."""

    def __init__(self, database_url: Callable[[], str], budget: int) -> None:
        self._database_url = database_url
        self._budget = ConnectionBudget(budget, ttl_s=LEASE_TTL_S, started_at=time.monotonic())

    async def request(self, holder: str, want: int) -> int:
        """Lease up to `want` connections; 0: none are free now."""
        await self._take_back_expired()
        return self._budget.request(holder, want, time.monotonic())

    async def renew(self, holder: str, size: int) -> bool:
        """Prolong a lease; False where it was taken back."""
        return self._budget.renew(holder, size, time.monotonic())

    async def release(self, holder: str) -> None:
        """Take a lease back from its holder."""
        self._budget.release(holder)

    async def leased(self) -> int:
        """Return how many connections are leased out."""
        return self._budget.leased

    async def _take_back_expired(self) -> None:
        expired = self._budget.expired(time.monotonic())
        if not expired:
            return
        connection = await asyncpg.connect(self._database_url(), timeout=LEASE_TTL_S)
        try:
            await connection.execute(_TERMINATE, expired)
        finally:
            await connection.close()
        for holder in expired:
            self._budget.release(holder)
