"""The only way to the pool manager."""

from __future__ import annotations

from actors.pool.actor import POOL_MANAGER_NAME
from actors.pool.budget import BudgetSnapshot, Grant, Wait
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

    async def renew(self, lease_id: str, holder: str, size: int, want: int) -> int:
        """Prolong a lease; return its size from now on, 0 where it is lost. ``size``: what this process may hold."""
        granted: int = await self._ask("renew", lease_id, holder, size, want, timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return granted

    async def release(self, lease_id: str) -> None:
        """Give a lease back after its connections were closed."""
        await self._ask("release", lease_id, timeout_s=CALL_TIMEOUT_S, repeatable=True)

    async def snapshot(self) -> BudgetSnapshot:
        """Return the state of the budget."""
        answer: BudgetSnapshot = await self._ask("snapshot", timeout_s=CALL_TIMEOUT_S, repeatable=True)
        return answer
