"""How many reads a gateway's processes answered from what they hold themselves, across their deaths."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

_EVERY_S = 0.5


class NearReads:
    """Keeps the fullest account that `GET /ops/api/cache` gave of the reads of payments while it watched.

    The shards keep the counts of processes that died. Those are gone once every shard was killed since, and missing for
    a moment while one is away, so the sums fall now and then: differences of them say nothing, shares do.
    """

    def __init__(self, http: aiohttp.ClientSession, admin_key: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {admin_key}"}
        self.counts: dict[str, Any] = {"reads": 0, "near_hits": 0, "joined": 0}

    @property
    def reads(self) -> int:
        """The reads that the account knows of."""
        return int(self.counts["reads"])

    @property
    def share(self) -> float:
        """The reads that went no further than their own process, of those that the account knows of."""
        return float(self.counts["near_hits"] + self.counts["joined"]) / max(1, self.reads)

    async def watch(self, until: float) -> None:
        """Watch until the loop's time `until`, and once more."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await self._look()
            await asyncio.sleep(_EVERY_S)
        # Each process reports with its listen, at least every 0.4 s.
        await asyncio.sleep(1)
        await self._look()

    async def _look(self) -> None:
        try:
            async with self._http.get("/ops/api/cache", headers=self._headers) as answer:
                if answer.status != 200:
                    assert answer.status in {500, 503}, await answer.text()
                    return
                models = (await answer.json())["models"]
        except (aiohttp.ClientError, TimeoutError):
            return
        counts = models.get("payment", self.counts)
        if counts["reads"] > self.reads:
            self.counts = counts
