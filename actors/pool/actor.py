"""The pool manager: one actor for each database server, which knows who may hold how many connections."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import ray

from actors.pool.budget import ConnectionBudget
from actors.pool.clusters.keeper import HURRIED_INTERVAL_S, ClusterKeeper
from actors.pool.clusters.membership import Reign
from actors.pool.clusters.register import Register
from actors.pool.enforcer import Enforcer
from actors.pool.faults import DRIVER_ERRORS
from actors.pool.ledger import FiguresLedger
from actors.pool.messages import BudgetSnapshot, Enforcement, Grant, PoolState, Renewed, Wait
from actors.pool.usage import Figures
from actors.pool.windows import WeeklyWindow, Window, Windows
from actors.runtime.clock import SystemClock
from actors.runtime.errors import ActorError, Unavailable
from actors.runtime.supervised import Supervised

POOL_MANAGER_NAME = "pool-manager"
# Five renewals, one a second: a loop that stalls for some seconds keeps its lease, and the connections of a process
# that hangs are missed for no longer than a request may wait.
LEASE_TTL_S = 5.0
# For migrations, the manager itself, the optimizer and the operator.
RESERVE = 10
PATROL_INTERVAL_S = 0.25
# A server that was started anew may have room for more or fewer.
CAPACITY_INTERVAL_S = 30.0

# How long new work may count on others making room, where this cluster has nothing.
_ROOM_WITHIN_S = 1.0

_AWAY = (ActorError, OSError, *DRIVER_ERRORS)

_logger = logging.getLogger(__name__)


class PoolManagerActor(Supervised):
    """Lease connections within a budget, and end those whose lease ran out before they are granted again.

    The budget is the setting, as far as the server has room for it beside ``reserve`` sessions, and less in a
    maintenance window. Leases of the manager before this one are adopted while it recovers, for one term. A manager
    that is created for the first time on a server that shows no connection of a lease has nobody to wait for. The lease
    of a process that died is taken back as soon as the server shows none of its connections.

    With a ``register`` of clusters it is one of those on its database: the budget is for all of them together, and this
    one's part is what the register says.
    """

    def __init__(
        self,
        code_version: str,
        database_url: Callable[[], str],
        budget: int,
        name: str = "easypay",
        ttl_s: float = LEASE_TTL_S,
        min_per_holder: int = 1,
        schedule: Sequence[WeeklyWindow] = (),
        reserve: int = RESERVE,
        register: Callable[[Callable[[], str], str], Register] | None = None,
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
        self._configured = budget
        self._min = min_per_holder
        self._reserve = reserve
        self._server_max: int | None = None
        self._capacity_due = 0.0
        self._windows = Windows(schedule)
        self._figures = FiguresLedger()
        self._vanished = 0
        self._enforced = 0
        self._enforcer = Enforcer(database_url, prefix=f"{name}/")
        self._enforcing: asyncio.Task[None] | None = None
        self._first_look: asyncio.Task[None] | None = None
        self._patrol: asyncio.Task[None] | None = None
        self._clusters: ClusterKeeper | None = None
        self._beating: asyncio.Task[None] | None = None
        self._share = budget
        if register is not None:
            self._clusters = ClusterKeeper(name, register(database_url, name), self, self._clock)
            self.limit(0)

    async def ensure_running(self) -> str:
        """Enforce what ran out, look after the leases from now on, and return the version."""
        self._tick()
        return await super().ensure_running()

    async def request(self, holder: str, want: int) -> Grant | Wait:
        """Lease up to ``want`` connections. Safe to repeat."""
        self._tick()
        if self._clusters is not None and not await self._clusters.known():
            return Wait("the other clusters are not known yet", HURRIED_INTERVAL_S)
        await self._look_once()
        self._tick()
        answer = self._budget.request(holder, want, self._clock.monotonic())
        return replace(answer, connect_s=self._connect_s()) if isinstance(answer, Grant) else answer

    async def renew(
        self, lease_id: str, holder: str, size: int, want: int, active: bool = True, figures: Figures | None = None
    ) -> Renewed | None:
        """Prolong a lease and return its size from now on; None: it is lost. Safe to repeat.

        Raises ``Unavailable`` where this manager has not heard yet what its cluster may have.
        """
        self._tick()
        if self._clusters is not None and not await self._clusters.known():
            raise Unavailable(POOL_MANAGER_NAME, "the other clusters are not known yet", HURRIED_INTERVAL_S)
        if figures is not None:
            self._figures.told(holder, figures, self._clock.monotonic())
        renewed = self._budget.renew(lease_id, holder, size, want, self._clock.monotonic(), active=active)
        self._tick()
        return replace(renewed, connect_s=self._connect_s()) if renewed is not None else None

    async def release(self, lease_id: str, figures: Figures | None = None) -> None:
        """Take back a lease whose connections are closed. Safe to repeat."""
        if figures is not None:
            self._figures.told(lease_id.rpartition("/")[2], figures, self._clock.monotonic())
        self._budget.release(lease_id)

    async def snapshot(self) -> BudgetSnapshot:
        """Return the state of the budget."""
        self._tick()
        return self._budget.snapshot(self._clock.monotonic())

    async def state(self) -> PoolState:
        """Return the state of everything."""
        window = self._windows.current(self._clock.now())
        return PoolState(
            budget=await self.snapshot(),
            configured=self._configured,
            server_max=self._server_max,
            window_ends_at=window.ends_at if window is not None else None,
            window_reason=window.reason if window is not None else None,
            granted=self._budget.granted,
            vanished=self._vanished,
            enforced=self._enforced,
            figures=self._figures.current(self._budget.holders, self._clock.monotonic()),
            departed=self._figures.departed,
            clusters=self._clusters.clusters if self._clusters is not None else (),
        )

    async def reign(self) -> Reign:
        """Return whether caches may be served, and for how long from now on.

        Raises ``Unavailable`` where this manager has not heard yet who else is there.
        """
        self._tick()
        if self._clusters is None:
            return Reign(0, math.inf)
        if not await self._clusters.known():
            raise Unavailable(POOL_MANAGER_NAME, "the other clusters are not known yet", HURRIED_INTERVAL_S)
        return self._clusters.reign()

    async def open_window(self, connections: int, lasts_s: float, reason: str) -> PoolState:
        """Leave no more than so many connections for so long. Raises ``ValueError``."""
        now = self._clock.now()
        self._windows.open(Window(now, now + timedelta(seconds=lasts_s), connections, reason), now)
        return await self.state()

    async def close_windows(self) -> PoolState:
        """End the windows that were opened by hand."""
        self._windows.close(self._clock.now())
        return await self.state()

    async def stop(self) -> None:
        """End what runs here, for tests: an actor is killed."""
        tasks = [task for task in (self._patrol, self._enforcing, self._first_look, self._beating) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._enforcer.close()
        if self._clusters is not None:
            await self._clusters.close()

    # What the keeper of its place among the clusters asks and tells

    def budget(self, clusters: int) -> int:
        """Return the setting, as far as the server has room for it beside what each cluster has in reserve."""
        if self._server_max is None:
            return self._configured
        return min(self._configured, max(self._min, self._server_max - self._reserve * clusters))

    def limit(self, share: int) -> None:
        """Lease no more than that from now on."""
        self._share = share
        self._apply_limit()

    def out(self) -> tuple[int, bool]:
        """Return how many connections there may be under leases that are known; and whether there are no others."""
        return self._budget.out, not self._budget.recovering

    def forget(self) -> None:
        """All leases are void."""
        self._budget.forget()

    async def end(self, name: str) -> bool:
        """End all connections of another cluster; return whether none is left."""
        return await self._enforcer.end(name)

    def _connect_s(self) -> float:
        return self._clusters.rights_s() if self._clusters is not None else math.inf

    def _tick(self) -> None:
        """Apply the limit, and enforce what ran out."""
        if self._patrol is None:
            self._patrol = asyncio.get_running_loop().create_task(self._keep_watch())
        if self._clusters is not None and (self._beating is None or self._beating.done()):
            if self._beating is not None and not self._beating.cancelled():
                _logger.error("the keeper of this cluster's place stopped", exc_info=self._beating.exception())
            self._beating = asyncio.get_running_loop().create_task(self._clusters.run())
        self._apply_limit()
        due = self._budget.expire(self._clock.monotonic())
        if due and (self._enforcing is None or self._enforcing.done()):
            self._enforcing = asyncio.get_running_loop().create_task(self._enforce(due))

    def _apply_limit(self) -> None:
        limit = min(self._share, self.budget(1))
        now = self._clock.now()
        window = self._windows.current(now)
        if window is None:
            # Until others have made room, work waits as it does in a window.
            self._budget.limit(limit, held_until=self._clock.monotonic() + _ROOM_WITHIN_S)
            return
        left_s = (window.ends_at - now).total_seconds()
        self._budget.limit(min(limit, window.connections), held_until=self._clock.monotonic() + left_s)

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(PATROL_INTERVAL_S)
            self._tick()
            try:
                await self._look_for_silent()
                await self._read_capacity()
            except _AWAY as error:
                _logger.info("the server was not asked: %s", error)

    async def _look_for_silent(self) -> None:
        """Take back what dead processes have left: they are silent, and the server has let their connections go."""
        silent = self._budget.silent(self._clock.monotonic())
        if not silent:
            return
        present = await self._enforcer.present(silent)
        gone = [lease_id for lease_id in silent if lease_id not in present]
        # Whoever has renewed while the server was asked is not silent any more.
        vanished = self._budget.vanished(gone, self._clock.monotonic())
        self._vanished += vanished
        if vanished:
            _logger.warning("took back the leases of %d processes that are gone", vanished)

    async def _read_capacity(self) -> None:
        if self._clock.monotonic() < self._capacity_due:
            return
        server_max = await self._enforcer.capacity()
        self._capacity_due = self._clock.monotonic() + CAPACITY_INTERVAL_S
        if server_max != self._server_max and server_max - self._reserve < self._configured:
            _logger.warning(
                "the server has room for %d sessions, %d of them in reserve: fewer than the %d that are configured",
                server_max, self._reserve, self._configured,
            )  # fmt: skip
        self._server_max = server_max
        self._apply_limit()

    async def _enforce(self, due: list[Enforcement]) -> None:
        for enforcement in due:
            try:
                await self._read_capacity()
                if await self._enforcer.enforce(enforcement):
                    self._budget.enforced(enforcement)
                    self._enforced += 1
                    _logger.warning("ended the connections of %s", enforcement.lease_id or "unknown leases")
            except _AWAY as error:
                _logger.warning("cannot end the connections of %s yet: %s", enforcement.lease_id, error)

    async def _look_once(self) -> None:
        """End the recovery early where it is certain that nothing is leased."""
        if not self._budget.recovering:
            return
        if self._first_look is None:
            self._first_look = asyncio.get_running_loop().create_task(self._look())
        await asyncio.shield(self._first_look)

    async def _look(self) -> None:
        try:
            await self._read_capacity()
            if ray.is_initialized() and ray.get_runtime_context().was_current_actor_reconstructed:
                return
            if await self._enforcer.count() == 0:
                self._budget.end_recovery()
        except _AWAY as error:
            _logger.warning("cannot see who is connected: %s", error)
