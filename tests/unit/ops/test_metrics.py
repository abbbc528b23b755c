"""The text that Prometheus scrapes: its parser takes it, and it says what the shards say."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.cache.counts import Finds, ModelMetrics
from actors.cache.messages import ShardSnapshot, ShardState
from serve_app.ops.cache_metrics import BOUNDS_S, cache_families
from serve_app.ops.exposition import exposition

_Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _snapshot() -> ShardSnapshot:
    payments = ModelMetrics(
        near_hits=90, joined=3, shard_hits=5, negative_hits=2, waited=1, loads=4, refreshes=1, bypasses={"changing": 7}
    )
    for took_s in (0.0004, 0.003, 0.003, 7.0):
        payments.shard_s.record(took_s)
    lists = ModelMetrics()
    lists.begin_s.record(0.004)
    finds = Finds(hits=2, misses=1)
    finds.find_s.record(0.0007, 3)
    state = ShardState(
        ready=True, entries=11, bytes_used=5000, bound_bytes=9000, evictions=6, late_fills=8, redis=True, redis_moves=2
    )
    return ShardSnapshot(
        state, {"payment": payments, "merchant": lists}, {"payment": finds}, started_at=1_700_000_000.5
    )


def _text(snapshots: Mapping[str, ShardSnapshot | None]) -> str:
    return exposition(cache_families(snapshots)).decode()


def _samples(text: str) -> _Samples:
    return {
        (sample.name.removeprefix("easypay_cache_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _one(samples: _Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset({"shard": "cache-shard-0", **labels}.items())]


def test_the_text_says_what_the_shards_say() -> None:
    """Gauges, counters, and the outcome of each read once."""
    samples = _samples(_text({"cache-shard-0": _snapshot()}))
    assert _one(samples, "shard_up") == 1
    assert _one(samples, "shard_start_time_seconds") == 1_700_000_000.5
    assert [_one(samples, name) for name in ("entries", "bytes", "limit_bytes", "redis_usable")] == [11, 5000, 9000, 1]
    assert [_one(samples, f"{name}_total") for name in ("evictions", "redis_moves")] == [6, 2]
    assert _one(samples, "refused_fills_total", reason="late") == 8
    outcomes = {
        outcome: _one(samples, "reads_total", model="payment", outcome=outcome)
        for outcome in ("near_hit", "joined", "shard_hit", "load", "bypass")
    }
    assert outcomes == {"near_hit": 90, "joined": 3, "shard_hit": 5, "load": 3, "bypass": 7}
    assert sum(outcomes.values()) == _snapshot().metrics["payment"].reads
    assert _one(samples, "bypasses_total", model="payment", reason="changing") == 7
    assert _one(samples, "redis_finds_total", model="payment", outcome="hit") == 2


def test_latencies_are_histograms_with_fixed_bounds() -> None:
    """Cumulative, with the count and the exact sum; what never happened has none."""
    samples = _samples(_text({"cache-shard-0": _snapshot()}))
    labels = {"model": "payment", "level": "shard"}
    buckets = [_one(samples, "read_seconds_bucket", le=str(bound), **labels) for bound in BOUNDS_S]
    assert buckets == [sum(took_s <= bound for took_s in (0.0004, 0.003, 0.003, 7.0)) for bound in BOUNDS_S]
    assert _one(samples, "read_seconds_bucket", le="+Inf", **labels) == 4
    assert _one(samples, "read_seconds_count", **labels) == 4
    assert _one(samples, "read_seconds_sum", **labels) == pytest.approx(7.0064)
    assert _one(samples, "read_seconds_count", model="payment", level="redis") == 3
    assert _one(samples, "change_begin_seconds_count", model="merchant") == 1
    assert not any(("level", "database") in labels for _, labels in samples)


def test_a_shard_that_does_not_answer_has_no_series() -> None:
    """It must not look as if its counters were 0: that would be a reset which did not happen."""
    samples = _samples(_text({"cache-shard-0": None, "cache-shard-1": _snapshot()}))
    assert {name for name, labels in samples if ("shard", "cache-shard-0") in labels} == {"shard_up"}
    assert _one(samples, "shard_up") == 0
    assert _one(samples, "evictions_total", shard="cache-shard-1") == 6


def test_names_follow_the_rules() -> None:
    """Every family is ours, explained and typed; counters end in _total; labels are few, and their values no ids."""
    text = _text({"cache-shard-0": _snapshot(), "cache-shard-1": None})
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families) >= 20
    for family in families:
        assert re.fullmatch(r"easypay_cache_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert family.type in ("gauge", "counter", "histogram")
        for sample in family.samples:
            assert sample.labels.keys() <= {"shard", "model", "level", "outcome", "reason", "le"}
            assert family.type != "counter" or sample.name.endswith("_total")


def test_without_a_cache_there_is_nothing_to_say() -> None:
    """And that is valid too."""
    assert _samples(_text({})) == {}


def test_promtool_finds_nothing_to_mend() -> None:
    """Prometheus's own linter."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on PATH")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=_text({"cache-shard-0": _snapshot(), "cache-shard-1": None}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
