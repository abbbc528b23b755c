"""A ring of shards that never changes."""

from __future__ import annotations

from actors.cache.sharding.stored import StoredRing


class SteadyRing:
    """A ring of so many shards, whoever wants what."""

    def __init__(self, _gateway: str, count: int = 1) -> None:
        self.stored = StoredRing(1, count, None, count)

    async def read(self) -> StoredRing:
        return self.stored

    async def want(self, _count: int) -> StoredRing:
        return self.stored

    async def begin(self, _version: int, _count: int) -> StoredRing:
        return self.stored

    async def activate(self, _version: int) -> StoredRing:
        return self.stored
