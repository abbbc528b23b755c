"""How many reads a gateway's processes answered from what they hold themselves, across their deaths."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class PaymentReads:
    """How reads of payments ended until a look."""

    reads: int
    hits: int
    loads: int
    bypassed: int

    def hit_rate_since(self, earlier: PaymentReads) -> float:
        """Return the part of the reads since then that cost no load."""
        return (self.hits - earlier.hits) / max(1, self.reads - earlier.reads)


class NearReads:
    """Adds up what `GET /metrics` says of the reads of payments while it watches, as Prometheus would.

    What was counted before the first look is not part of it. The count of a shard that started again begins at 0. What
    a process that was killed had not told, and what a shard that was killed had been told since the last look, is
    missing.
    """

    def __init__(self, http: aiohttp.ClientSession, admin_key: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {admin_key}"}
        self._started: dict[str, float] = {}
        self._last: dict[tuple[str, str], float] = {}
        self.counts: Counter[str] = Counter()
        self.resets = 0
        self._has_looked = False

    @property
    def reads(self) -> int:
        """The reads that the account knows of."""
        return self.counts.total()

    @property
    def share(self) -> float:
        """The reads that went no further than their own process, of those that the account knows of."""
        return (self.counts["near_hit"] + self.counts["joined"]) / max(1, self.reads)

    async def watch(self, done: asyncio.Event) -> None:
        """Watch until the event, and once more."""
        while not done.is_set():
            await self.look()
            await asyncio.sleep(_EVERY_S)
        # Each process reports with its listen, at least every 0.4 s.
        await asyncio.sleep(1)
        await self.look()

    async def look(self) -> PaymentReads:
        """Add what is new, and return the sums; what is new is missing where the gateway does not answer."""
        await self._add_what_is_new()
        counts = self.counts
        hits = counts["near_hit"] + counts["joined"] + counts["shard_hit"]
        return PaymentReads(counts.total(), hits, counts["load"], counts["bypass"])

    async def _add_what_is_new(self) -> None:
        try:
            async with self._http.get("/metrics", headers=self._headers) as answer:
                if answer.status != 200:
                    assert answer.status in {500, 503}, await answer.text()
                    return
                self._add(await answer.text())
        except (aiohttp.ClientError, TimeoutError):
            return

    def _add(self, text: str) -> None:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        for sample in samples:
            if sample.name == "easypay_cache_shard_start_time_seconds":
                self._notice(sample.labels["shard"], sample.value)
        for sample in samples:
            if sample.name == "easypay_cache_reads_total" and sample.labels["model"] == "payment":
                series = sample.labels["shard"], sample.labels["outcome"]
                more = sample.value - self._last.get(series, 0)
                assert more >= 0, f"{series} fell by {-more} while its shard lived"
                self._last[series] = sample.value
                if self._has_looked:
                    self.counts[sample.labels["outcome"]] += int(more)
        self._has_looked = True

    def _notice(self, shard: str, started: float) -> None:
        """Where the shard is another one than before, forget what that had counted."""
        if self._started.setdefault(shard, started) != started:
            self._started[shard] = started
            self._last = {series: count for series, count in self._last.items() if series[0] != shard}
            self.resets += 1
