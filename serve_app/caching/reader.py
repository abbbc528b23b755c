"""Reads of cached models; where there is no cache, from the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from actors.cache.client import CacheClient, Loaded
from serve_app.caching.models import Level, Model
from serve_app.tracing.notes import current_notes


class CachedReads:
    """What the repositories read through. Values are JSON, ready to be sent."""

    def __init__(self, cache: CacheClient | None) -> None:
        self._cache = cache

    async def one(self, model: Model, name: str, load: Callable[[], Awaitable[Loaded]]) -> bytes | None:
        """Return one object as it is now, None where there is none. `load` gives it with its version."""
        assert Level.NEAR in model.levels, f"{model.name} is grouped, or not read here"
        if self._cache is None:
            return (await load()).value
        notes = current_notes()
        if notes is None:
            return await self._cache.read(name, load, ttl_s=model.ttl_s)
        notes.cached = True

        async def noted() -> Loaded:
            notes.cached = False
            return await load()

        return await self._cache.read(name, noted, ttl_s=model.ttl_s)

    def still_holds(self, name: str, value: bytes, until: float) -> bool:
        """Say whether a value that this process read is known to be current: the cache holds that very object near.
        Where nothing is cached it is believed until that moment of the monotonic clock.
        """
        return self._cache.peek(name) is value if self._cache is not None else until > time.monotonic()

    async def page(self, model: Model, name: str, tag: str, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return a page as it is now; a change of anything under the tag makes it be loaded again."""
        assert model.levels == Level.SHARD, f"{model.name}: what is grouped is kept at the shard alone"
        if self._cache is None:
            return await load()

        notes = current_notes()
        if notes is not None:
            notes.cached = True

        async def loaded() -> Loaded:
            if notes is not None:
                notes.cached = False
            return Loaded(await load(), 0)

        page = await self._cache.read(name, loaded, ttl_s=model.ttl_s, tag=tag)
        assert page is not None, "a page is never absent"
        return page

    async def warm(self, model: Model, loads: Mapping[str, Callable[[], Awaitable[Loaded]]]) -> None:
        """Have the shards hold these objects, by name; those that they hold are not loaded."""
        if self._cache is not None:
            cache = self._cache
            await asyncio.gather(*(cache.warm(name, load, ttl_s=model.ttl_s) for name, load in loads.items()))
