"""The only way to the pool manager."""

from __future__ import annotations

from actors.pool.actor import POOL_MANAGER_NAME
from actors.runtime.client import ActorClient

_TIMEOUT_S = 2.0


class PoolManagerClient(ActorClient):
    """Asks the pool manager for leases. All calls are safe to repeat."""

    def __init__(self, namespace: str) -> None:
        super().__init__(POOL_MANAGER_NAME, namespace)

    async def request(self, holder: str, want: int) -> int:
        """Lease up to `want` connections for the holder; 0: none are free now."""
        granted: int = await self._ask("request", holder, want, timeout_s=_TIMEOUT_S, repeatable=True)
        return granted

    async def renew(self, holder: str, size: int) -> bool:
        """Prolong the holder's lease; False where it was taken back."""
        kept: bool = await self._ask("renew", holder, size, timeout_s=_TIMEOUT_S, repeatable=True)
        return kept

    async def release(self, holder: str) -> None:
        """Give the holder's lease back."""
        await self._ask("release", holder, timeout_s=_TIMEOUT_S, repeatable=True)
