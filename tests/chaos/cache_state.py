"""What operators see of the cache."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

_EVERY_S = 0.2


class CacheState:
    """Asks a gateway for it, as `GET /ops/api/cache` does."""

    def __init__(self, http: aiohttp.ClientSession, admin_key: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {admin_key}"}

    async def shards(self) -> dict[str, dict[str, Any]]:
        """Return the state of each shard by its name."""
        return {shard["name"]: shard for shard in (await self._read())["shards"]}

    async def until_redis_is_used(self, within_s: float) -> float:
        """Wait until all shards serve and use Redis; return how many seconds that took, fail after `within_s`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            shards = await self.shards()
            if all(shard["ready"] and shard["redis"] for shard in shards.values()):
                return loop.time() - started
            assert loop.time() < started + within_s, shards
            await asyncio.sleep(_EVERY_S)

    async def until_hot_keys_are_saved(self, count: int, within_s: float) -> None:
        """Wait until a successor of any shard would begin with what that has, of `count` values in all."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while sum(shard["hot_keys_saved"] for shard in (await self.shards()).values()) < count:
            assert loop.time() < started + within_s, await self.shards()
            await asyncio.sleep(_EVERY_S)

    async def _read(self) -> dict[str, Any]:
        async with self._http.get("/ops/api/cache", headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            state: dict[str, Any] = await answer.json()
            return state
