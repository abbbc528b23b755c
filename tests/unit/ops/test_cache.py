"""The state of the cache as operators get it: what the shards say, in the shape that is documented."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from actors.cache.counts import Finds, ModelMetrics
from actors.cache.messages import ShardSnapshot, ShardState
from serve_app.caching.models import MODELS
from serve_app.ops.cache import CacheEndpoints, CacheState, InvalidateCache, Level


class _Shards:
    """Stands for the client of a cache with three shards, of which one does not answer."""

    async def snapshots(self) -> dict[str, ShardSnapshot | None]:
        metrics = ModelMetrics(near_hits=6, shard_hits=2, loads=3, refreshes=1, bypasses={"changing": 1})
        for took_s in (0.001, 0.002, 0.004):
            metrics.shard_s.record(took_s)
        finds = Finds(hits=1)
        finds.find_s.record(0.0005)
        state = ShardState(ready=True, entries=3, redis=True, redis_hits=1)
        snapshot = ShardSnapshot(state, {"payment": metrics}, {"payment": finds}, started_at=86_400.0)
        return {"cache-shard-0": snapshot, "cache-shard-1": None, "cache-shard-2": snapshot}


async def _state(cache: Any) -> dict[str, Any]:
    unused: Any = None
    answer = await CacheEndpoints(cache, unused).state(unused)
    CacheState.model_validate_json(answer.body)
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def test_shards_are_shown_as_they_are() -> None:
    """Of one that does not answer nothing is claimed."""
    shards = (await _state(_Shards()))["shards"]
    assert shards[1] == {"name": "cache-shard-1", "ready": False}
    assert (shards[0]["name"], shards[0]["entries"], shards[0]["started_at"]) == (
        "cache-shard-0",
        3,
        "1970-01-02T00:00:00Z",
    )


async def test_counts_are_those_of_all_shards() -> None:
    """And so are latencies, per level; where nothing was ever measured there is none."""
    counts = (await _state(_Shards()))["models"]["payment"]
    assert (counts["near_hits"], counts["loads"], counts["bypasses"]) == (12, 6, {"changing": 2})
    # A refresh is a load and no read.
    assert (counts["reads"], counts["hit_rate"]) == (22, round(16 / 22, 4))
    assert counts["latency"].keys() == set(get_args(Level))
    assert counts["latency"]["shard"] == {
        "count": 6,
        "p50_s": pytest.approx(0.002, rel=0.04),
        "p99_s": pytest.approx(0.004, rel=0.04),
    }
    assert counts["latency"]["redis"]["count"] == 2
    assert counts["latency"]["database"] == {"count": 0, "p50_s": None, "p99_s": None}


async def test_without_a_cache_there_is_no_shard() -> None:
    """That is how to tell."""
    assert await _state(None) == {"shards": [], "models": {}}


def test_only_models_that_are_cached_can_be_forgotten() -> None:
    """Every one of them; another is named, with those that there are."""
    assert InvalidateCache(models=list(MODELS)).models == list(MODELS)
    with pytest.raises(ValidationError, match="api_key, payment"):
        InvalidateCache(models=["card"])
