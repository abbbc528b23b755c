"""The pool manager: one actor for each database server, which knows who may hold how many connections."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

import asyncpg
import ray

from actors.pool.budget import BudgetSnapshot, ConnectionBudget, Enforcement, Grant, Wait
from actors.pool.enforcer import Enforcer
from actors.runtime.clock import SystemClock
from actors.runtime.errors import ActorError
from actors.runtime.supervised import Supervised

POOL_MANAGER_NAME = "pool-manager"
# Five renewals, one a second: a loop that stalls for some seconds keeps its lease, and the connections of a dead
# process are missed for no longer than a request may wait.
LEASE_TTL_S = 5.0

_logger = logging.getLogger(__name__)


class PoolManagerActor(Supervised):
    """Lease connections within a budget, and end those whose lease ran out before they are granted again.

    Leases of the manager before this one are adopted while it recovers, for one term. A manager that is created for the
    first time on a server that shows no connection of a lease has nobody to wait for.
    """

    def __init__(
        self,
        code_version: str,
        database_url: Callable[[], str],
        budget: int,
        name: str = "easypay",
        ttl_s: float = LEASE_TTL_S,
        min_per_holder: int = 1,
    ) -> None:
        super().__init__(code_version)
        self._clock = SystemClock()
        # Ids of leases must not come back after a restart, and other gateways on the server have other names.
        self._budget = ConnectionBudget(
            budget,
            name=f"{name}/{secrets.token_hex(3)}",
            started_at=self._clock.monotonic(),
            min_per_holder=min_per_holder,
            ttl_s=ttl_s,
            recovery_s=ttl_s,
        )
        self._enforcer = Enforcer(database_url, prefix=f"{name}/")
        self._enforcing: asyncio.Task[None] | None = None
        self._first_look: asyncio.Task[None] | None = None

    async def ensure_running(self) -> str:
        """Enforce what ran out, and return the version."""
        self._tick()
        return await super().ensure_running()

    async def request(self, holder: str, want: int) -> Grant | Wait:
        """Lease up to ``want`` connections. Safe to repeat."""
        await self._look_once()
        self._tick()
        return self._budget.request(holder, want, self._clock.monotonic())

    async def renew(self, lease_id: str, holder: str, size: int, want: int) -> int:
        """Prolong a lease and return its size from now on; 0: it is lost. Safe to repeat."""
        granted = self._budget.renew(lease_id, holder, size, want, self._clock.monotonic())
        self._tick()
        return granted

    async def release(self, lease_id: str) -> None:
        """Take back a lease whose connections are closed. Safe to repeat."""
        self._budget.release(lease_id)

    async def snapshot(self) -> BudgetSnapshot:
        """Return the state of the budget."""
        self._tick()
        return self._budget.snapshot(self._clock.monotonic())

    def _tick(self) -> None:
        """Enforce what ran out. Callers and the supervisor's visits drive it; it needs no timer of its own."""
        due = self._budget.expire(self._clock.monotonic())
        if due and (self._enforcing is None or self._enforcing.done()):
            self._enforcing = asyncio.get_running_loop().create_task(self._enforce(due))

    async def _enforce(self, due: list[Enforcement]) -> None:
        for enforcement in due:
            try:
                if await self._enforcer.enforce(enforcement):
                    self._budget.enforced(enforcement)
                    _logger.warning("ended the connections of %s", enforcement.lease_id or "unknown leases")
            except (ActorError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _logger.warning("cannot end the connections of %s yet: %s", enforcement.lease_id, error)

    async def _look_once(self) -> None:
        """End the recovery early where it is certain that nothing is leased."""
        if not self._budget.recovering:
            return
        if self._first_look is None:
            self._first_look = asyncio.get_running_loop().create_task(self._look())
        await asyncio.shield(self._first_look)

    async def _look(self) -> None:
        if ray.is_initialized() and ray.get_runtime_context().was_current_actor_reconstructed:
            return
        try:
            if await self._enforcer.count() == 0:
                self._budget.end_recovery()
        except (ActorError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _logger.warning("cannot see who is connected: %s", error)
