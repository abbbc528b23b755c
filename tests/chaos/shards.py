"""An operator who changes the number of cache shards of a running gateway."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, Self

import aiohttp

from tests.chaos.killer import Killer
from tests.e2e.gateway import RunningGateway

_PATH = "/ops/api/cache"
_KEEPER = "ray::RingKeeperActor"
_CHANGED_WITHIN_S = 60.0
_EVERY_S = 0.1


class Shards:
    """Asks by HTTP with the operator's key."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._killer = Killer(gateway.data_dir, 0)
        self._http = aiohttp.ClientSession(
            gateway.url, headers={"Authorization": f"Bearer {gateway.facts['admin_key']}"}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def change(self, count: int, *, kill_keeper: bool = False) -> dict[str, Any]:
        """Change to so many; return the ring after it. With `kill_keeper` its process is killed in the middle."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        # The answer may come no sooner than the end of the change: what it writes waits for that, too.
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_for(count))
            if kill_keeper:
                await self._kill_keeper()
        ring = await self.settled()
        assert ring["count"] == count
        print(f"{count} shards after {loop.time() - began:.1f} s{', the keeper killed' if kill_keeper else ''}")
        return ring

    async def _ask_for(self, count: int) -> None:
        while True:
            async with self._http.post(f"{_PATH}/shards", json={"count": count}) as answer:
                if answer.status == 202:
                    return
                assert answer.status == 503, await answer.text()
            await asyncio.sleep(_EVERY_S)

    async def _kill_keeper(self) -> None:
        async with asyncio.timeout(_CHANGED_WITHIN_S):
            while not (await self._ring())["changing"]:
                await asyncio.sleep(_EVERY_S)
        (pid,) = await asyncio.to_thread(self._killer.find, _KEEPER)
        os.kill(pid, signal.SIGKILL)
        loop = asyncio.get_running_loop()
        killed = loop.time()
        await self._ring()
        print(f"another keeper after {loop.time() - killed:.1f} s")

    async def settled(self) -> dict[str, Any]:
        """Return the ring once nothing is changing. The keeper may be away for a while."""
        async with asyncio.timeout(_CHANGED_WITHIN_S):
            while True:
                ring = await self._ring()
                if ring["count"] == ring["wanted"] and not ring["changing"]:
                    return ring
                await asyncio.sleep(_EVERY_S)

    async def until_all_serve(self, count: int) -> list[str]:
        """Return the names of the shards once so many are ready."""
        async with asyncio.timeout(_CHANGED_WITHIN_S):
            while True:
                async with self._http.get(_PATH) as answer:
                    shards = (await answer.json())["shards"]
                if len(shards) == count and all(shard["ready"] for shard in shards):
                    return [shard["name"] for shard in shards]
                await asyncio.sleep(_EVERY_S)

    async def _ring(self) -> dict[str, Any]:
        while True:
            async with self._http.get(f"{_PATH}/shards") as answer:
                ring: dict[str, Any] = await answer.json()
                if answer.status == 200:
                    return ring
                assert answer.status == 503, ring
            await asyncio.sleep(_EVERY_S)
