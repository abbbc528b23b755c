"""What Prometheus is told of compression is what was counted."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_app.compression.coding import Codec
from serve_app.compression.counts import Counts, Encoded
from serve_app.compression.policy import Refusal
from serve_app.ops.compression_metrics import compression_families
from serve_app.ops.exposition import exposition

_SHARD = {"shard": "cache-shard-1"}
_LABELS = {"route": "/v1/payments", "codec": "zstd"}


def _text(counts: Counts) -> str:
    return exposition(compression_families({"cache-shard-1": counts.tallies(), "cache-shard-2": {}})).decode()


def _counts() -> Counts:
    counts = Counts()
    counts.add("/v1/payments", Codec.ZSTD, Encoded(1, 10_000, 2_000, 0.0002))
    counts.add("/v1/payments", Codec.ZSTD, Encoded(1, 5_000, 1_000, 0.0001))
    counts.add("/docs", Codec.BROTLI, Encoded(1, 0, 1, 0.0))
    for _ in range(3):
        counts.refuse("/v1/payments", Refusal.BUSY)
    return counts


def test_the_text_says_what_was_counted() -> None:
    """Bodies, bytes, seconds, what was saved, what is left; a body of nothing has no ratio."""
    samples = {
        (sample.name.removeprefix("easypay_compression_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(_text(_counts()))
        for sample in family.samples
    }
    both = (frozenset(_LABELS.items()), frozenset({**_LABELS, **_SHARD}.items()))
    found = {name: value for (name, labels), value in samples.items() if labels in both}
    assert found == {
        "bodies_total": 2,
        "input_bytes_total": 15_000,
        "output_bytes_total": 3_000,
        "seconds_total": pytest.approx(0.0003),
        "saved_bytes": 12_000,
        "ratio": 0.2,
    }
    refusals = frozenset({**_SHARD, "route": "/v1/payments", "reason": "busy"}.items())
    assert samples["refusals_total", refusals] == 3
    assert [dict(sample)["route"] for name, sample in samples if name == "ratio"] == ["/v1/payments"]


def test_names_follow_the_rules() -> None:
    """Every family is ours, explained and typed, and its labels are few."""
    families = list(text_string_to_metric_families(_text(_counts())))
    assert len({family.name for family in families}) == len(families) == 7
    for family in families:
        assert re.fullmatch(r"easypay_compression_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            assert sample.labels.keys() <= {"shard", "route", "codec", "reason"}


def test_what_is_left_is_that_of_all_shards_together() -> None:
    """The counters are by shard, for each may start again; the gauges are not."""
    half, rest = Counts(), Counts()
    half.add("/v1/payments", Codec.ZSTD, Encoded(1, 10_000, 2_000, 0.1))
    rest.add("/v1/payments", Codec.ZSTD, Encoded(1, 30_000, 18_000, 0.1))
    text = exposition(compression_families({"a": half.tallies(), "b": rest.tallies()})).decode()
    assert 'easypay_compression_ratio{codec="zstd",route="/v1/payments"} 0.5' in text
    assert 'easypay_compression_saved_bytes{codec="zstd",route="/v1/payments"} 20000.0' in text
    assert 'easypay_compression_output_bytes_total{codec="zstd",route="/v1/payments",shard="b"} 18000.0' in text
