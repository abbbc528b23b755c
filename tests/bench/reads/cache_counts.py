"""How reads of payments ended, as the gateway counts them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, fields

from tests.bench.gateway import Gateway

# Processes tell of their counts every 0.4 s.
_REPORT_S = 0.6
_READINGS_MAX = 20


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Hold how many reads were answered near, by another read of the process, at a shard, and by the database.

    ``redis`` counts those of the shards' hits that they found in Redis.
    """

    near: int = 0
    joined: int = 0
    shard: int = 0
    loads: int = 0
    bypassed: int = 0
    redis: int = 0

    @property
    def reads(self) -> int:
        """All reads."""
        return self.near + self.joined + self.shard + self.loads + self.bypassed

    @property
    def hit_rate(self) -> float:
        """The part of all reads that cost no load, 0 where there were none."""
        return (self.near + self.joined + self.shard) / self.reads if self.reads else 0.0

    @property
    def memory_hit_rate(self) -> float:
        """The part of all reads that was answered from the memory of a process."""
        return (self.near + self.joined + self.shard - self.redis) / self.reads if self.reads else 0.0

    @property
    def shard_share(self) -> float:
        """The part of all reads that a shard answered, 0 where there were none."""
        return self.shard / self.reads if self.reads else 0.0

    def since(self, earlier: CacheCounts) -> CacheCounts:
        """Return what was added since an earlier reading."""
        return CacheCounts(*(getattr(self, each.name) - getattr(earlier, each.name) for each in fields(self)))


def settled_counts(gateway: Gateway) -> CacheCounts | None:
    """Return the counts once they change no more; None where the gateway does not tell them. Call it without load."""
    counts = _counts(gateway)
    for _ in range(_READINGS_MAX if counts is not None else 0):
        time.sleep(_REPORT_S)
        earlier, counts = counts, _counts(gateway)
        if counts == earlier:
            break
    return counts


def added(later: CacheCounts | None, earlier: CacheCounts | None) -> CacheCounts | None:
    """Return what was added between two readings, None where one of them is missing."""
    return later.since(earlier) if later is not None and earlier is not None else None


def _counts(gateway: Gateway) -> CacheCounts | None:
    request = urllib.request.Request(
        f"{gateway.url.rstrip('/')}/ops/api/cache", headers={"Authorization": f"Bearer {gateway.admin_key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            state = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    found = state["models"].get("payment")
    if found is None:
        return CacheCounts()
    return CacheCounts(
        near=found["near_hits"],
        joined=found["joined"],
        shard=found["shard_hits"],
        loads=found["loads"],
        bypassed=sum(found["bypasses"].values()),
        # Of all models; none but payments is read here that lives long enough to be in Redis.
        redis=sum(shard["redis_hits"] for shard in state["shards"]),
    )
