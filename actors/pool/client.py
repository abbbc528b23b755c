"""The only way to the pool manager."""

from __future__ import annotations

from actors.pool.actor import POOL_MANAGER_NAME
from actors.pool.clusters.membership import Reign
from actors.pool.messages import BudgetSnapshot, Grant, PoolState, Renewed, Wait
from actors.pool.usage import Figures
from actors.runtime.client import ActorClient

# Well under the term of a lease: a manager that hangs is noticed while there is time for another try.
CALL_TIMEOUT_S = 2.0


class PoolManagerClient(ActorClient):
    """Ask the pool manager for leases. Every call is safe to repeat, and raises what ``ActorClient`` says."""

    def __init__(self, namespace: str, name: str = POOL_MANAGER_NAME) -> None:
        super().__init__(name, namespace)

    async def request(self, holder: str, want: int) -> Grant | Wait:
        """Lease up to ``want`` connections. Asking again returns the lease that this holder has."""
        answer: Grant | Wait = await self._ask("request", holder, want, timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return answer

    async def renew(
        self, lease_id: str, holder: str, size: int, want: int, active: bool = True, figures: Figures | None = None
    ) -> Renewed | None:
        """Prolong a lease; return its size from now on, None: it is lost. ``size``: what this process may hold."""
        renewed: Renewed | None = await self._ask(
            "renew", lease_id, holder, size, want, active, figures, timeout_s=CALL_TIMEOUT_S, repeatable=True
        )
        return renewed

    async def release(self, lease_id: str, figures: Figures | None = None) -> None:
        """Give a lease back after its connections were closed."""
        await self._ask("release", lease_id, figures, timeout_s=CALL_TIMEOUT_S, repeatable=True)

    async def snapshot(self) -> BudgetSnapshot:
        """Return the state of the budget."""
        answer: BudgetSnapshot = await self._ask("snapshot", timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return answer

    async def state(self) -> PoolState:
        """Return everything that the manager knows."""
        answer: PoolState = await self._ask("state", timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return answer

    async def reign(self) -> Reign:
        """Return whether caches may be served, and for how long from when it was asked."""
        answer: Reign = await self._ask("reign", timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return answer

    async def open_window(self, connections: int, lasts_s: float, reason: str) -> PoolState:
        """Leave the gateway no more than so many connections for a while, 0: hold its work. Repeated it is one window
        more of the same, which changes nothing. Raises ``ValueError`` for what cannot be a window.
        """
        answer: PoolState = await self._ask(
            "open_window", connections, lasts_s, reason, timeout_s=CALL_TIMEOUT_S, repeatable=True
        )
        return answer

    async def close_windows(self) -> PoolState:
        """End what was opened by ``open_window``; a window of the schedule stays open until its end."""
        answer: PoolState = await self._ask("close_windows", timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return answer
