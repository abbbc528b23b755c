"""What Prometheus is told of compression is what was counted."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actors.runtime.lag import LoopLag
from serve_app.compression.coding import CODINGS, Codec
from serve_app.compression.compressor import Compressor
from serve_app.compression.counts import Counts, Encoded, ProcessCounts
from serve_app.compression.policy import Refusal
from serve_app.http.operation import Call
from serve_app.ops.compression_metrics import compression_families
from serve_app.ops.metrics import MetricsEndpoints, exposition

_LABELS = {"process": "gateway-7", "route": "/v1/payments", "codec": "zstd"}


def _text(counts: Counts) -> str:
    return exposition(compression_families(ProcessCounts("gateway-7", counts.encoded, counts.refused))).decode()


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
    labels = frozenset(_LABELS.items())
    found = {name: value for (name, sample_labels), value in samples.items() if sample_labels == labels}
    assert found == {
        "bodies_total": 2,
        "input_bytes_total": 15_000,
        "output_bytes_total": 3_000,
        "seconds_total": pytest.approx(0.0003),
        "saved_bytes": 12_000,
        "ratio": 0.2,
    }
    refusals = frozenset({"process": "gateway-7", "route": "/v1/payments", "reason": "busy"}.items())
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
            assert sample.labels.keys() <= {"process", "route", "codec", "reason"}


async def test_the_endpoint_shows_what_this_process_encoded() -> None:
    """With the cache's metrics, where there is a cache; without compression there is nothing of it."""
    compressor = Compressor("gateway-7", lambda: LoopLag(0.0, 0.0))
    await compressor.encode("/docs", CODINGS[Codec.GZIP][0], b"text " * 1_000)
    call = Call("GET", "/metrics", {}, "r-1")
    shown = (await MetricsEndpoints(None, compressor).metrics(call)).body.decode()
    assert 'easypay_compression_input_bytes_total{codec="gzip",process="gateway-7",route="/docs"} 5000.0' in shown
    assert b"easypay_compression" not in (await MetricsEndpoints(None, None).metrics(call)).body
