"""The keeper of the ring as an actor, and the ways to it and from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import ray

from actors.cache.sharding.keeper import RingKeeper
from actors.cache.sharding.stored import Rings, StoredRing
from actors.runtime.client import ActorClient
from actors.runtime.supervised import Supervised

RING_KEEPER_NAME = "cache-ring"
_CALL_TIMEOUT_S = 5.0
_FOLLOW_TIMEOUT_S = 5.0

_logger = logging.getLogger(__name__)


class RingKeeperActor(Supervised):
    """Keeps the ring for as long as it lives; what it does and promises stands at ``RingKeeper``."""

    def __init__(self, code_version: str, gateway: str, namespace: str, rings: Callable[[str], Rings]) -> None:
        """``rings``, called in the actor's process, gives the ring of a gateway."""
        super().__init__(code_version)
        self._gateway = gateway
        self._namespace = namespace
        self._rings = rings
        self._keeper: RingKeeper | None = None
        self._running: asyncio.Task[None] | None = None

    async def ensure_running(self) -> str:
        """Keep the ring unless that is under way, and return the version; safe to repeat."""
        self._kept()
        return await super().ensure_running()

    async def members(self) -> tuple[str, ...]:
        """Return the names of the shards that have to run, once the ring has been read."""
        return (await self._kept().ring()).members

    async def ring(self) -> StoredRing:
        """Return the ring, once it has been read."""
        return await self._kept().ring()

    async def want(self, count: int) -> StoredRing:
        """Have the ring change to so many shards; return it as it is stored. Safe to repeat."""
        return await self._kept().want(count)

    def _kept(self) -> RingKeeper:
        """Return the keeper, at work: whoever calls first after a start has it begin."""
        if self._keeper is None:
            self._keeper = RingKeeper(self._rings(self._gateway), self._member)
        if self._running is not None and self._running.done():
            _logger.error("the keeper of the ring stopped", exc_info=self._running.exception())
            self._running = None
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._keeper.run())
        return self._keeper

    def _member(self, name: str) -> _Shard:
        return _Shard(name, self._namespace)


class RingKeeperClient(ActorClient):
    """The way to the keeper."""

    def __init__(self, namespace: str) -> None:
        super().__init__(RING_KEEPER_NAME, namespace)

    async def ring(self) -> StoredRing:
        """Return the ring. Raises ``Unavailable``, ``DeadlineExceeded``."""
        ring: StoredRing = await self._ask("ring", timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return ring

    async def want(self, count: int) -> StoredRing:
        """Have the ring change to so many shards; return it as it is stored, which is not as it will be.

        Safe to repeat. Raises ``Unavailable``, ``DeadlineExceeded``.
        """
        ring: StoredRing = await self._ask("want", count, timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return ring


class _Shard(ActorClient):
    """A ``Member``: one shard."""

    async def follow(self, stored: StoredRing) -> int:
        """Take part in the ring; return the version that is served."""
        serves: int = await self._ask("follow", stored, timeout_s=_FOLLOW_TIMEOUT_S, repeatable=True)
        return serves

    async def end_process(self) -> None:
        """End its process; Ray starts another."""
        await asyncio.to_thread(ray.kill, await self._resolve(), no_restart=False)
