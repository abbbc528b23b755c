"""One shard of the cache as an actor."""

from __future__ import annotations

import time
from collections.abc import Sequence

from actors.cache.counts import Report
from actors.cache.messages import Answer, Begin, Begun, End, Fill, GiveUp, Notices, ShardSnapshot, Want, Welcome
from actors.cache.shard import CacheShard
from actors.runtime.supervised import Supervised

_NAME = "cache-shard"
_EPOCH = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def shard_names(count: int) -> tuple[str, ...]:
    """Return the names of the shards of a cache that has so many."""
    return tuple(f"{_NAME}-{number}" for number in range(count))


class CacheShardActor(Supervised):
    """Holds one shard; what it does and promises stands at ``CacheShard``."""

    def __init__(self, code_version: str, bound_bytes: int) -> None:
        super().__init__(code_version)
        # Tenths of a second: an actor that is started again takes longer, so no number of the former one comes back.
        incarnation = int((time.time() - _EPOCH) * 10)
        self._shard = CacheShard(bound_bytes, clock=time.monotonic, incarnation=incarnation)

    async def open_session(self, owner: str) -> Welcome:
        """Begin a session for a process."""
        return self._shard.open_session(owner)

    async def listen(
        self, session: int, acknowledged: int, drops: Sequence[tuple[str, int]], report: Report
    ) -> Notices:
        """Prolong a process's lease; answer with the keys that it must drop."""
        return await self._shard.listen(session, acknowledged, drops, report)

    async def read(self, session: int, wants: Sequence[Want]) -> list[Answer]:
        """Answer reads."""
        return self._shard.read(session, wants)

    async def wait(self, session: int, want: Want, token: int) -> Answer:
        """Answer a read once a load has ended."""
        return await self._shard.wait(session, want, token)

    async def begin(self, session: int, beginnings: Sequence[Begin]) -> list[Begun]:
        """Begin transitions."""
        return self._shard.begin(session, beginnings)

    async def begun(self, session: int, transition: int) -> int:
        """Wait until a transition has begun."""
        return await self._shard.begun(session, transition)

    async def tell(self, session: int, messages: Sequence[Fill | GiveUp | End]) -> None:
        """Take what loads have found and what became of transitions."""
        self._shard.tell(session, messages)

    async def snapshot(self) -> ShardSnapshot:
        """Return the state of the shard."""
        return self._shard.snapshot()

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str], models: Sequence[str]) -> int:
        """Drop what is cached; return how many values."""
        return await self._shard.invalidate(keys, tags, models)
