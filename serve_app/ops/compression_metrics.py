"""Compression for Prometheus.

The ratio of a window, not of all time, is
`sum by (route, codec) (rate(..._output_bytes_total[10m])) / sum by (route, codec) (rate(..._input_bytes_total[10m]))`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from serve_app.compression.counts import BODIES, INPUT_BYTES, OUTPUT_BYTES, REFUSALS, SECONDS
from serve_app.ops.tally_metrics import Accounts, Counter, counter_families

_LABELS = ("route", "codec")
_COUNTERS = (
    Counter(BODIES, "Bodies that were encoded.", _LABELS),
    Counter(INPUT_BYTES, "Bytes of those bodies before.", _LABELS),
    Counter(OUTPUT_BYTES, "Bytes of those bodies as they were sent.", _LABELS),
    Counter(SECONDS, "Time of a processor that encoding took, on the loop or in the thread.", _LABELS),
    Counter(
        REFUSALS,
        "Bodies of a kind that is encoded, for clients that accept it, that stayed as they were.",
        ("route", "reason"),
    ),
)


def compression_families(accounts: Accounts) -> Iterator[Metric]:
    """Yield the metrics of compression."""
    yield from counter_families(_COUNTERS, accounts)
    yield from _results(accounts)


def _results(accounts: Accounts) -> Iterator[Metric]:
    # Gauges: where flushed chunks are tiny they come out longer than they went in, and a counter cannot fall.
    saved = GaugeMetricFamily(
        "easypay_compression_saved_bytes",
        "Bytes that did not have to be sent, as far as shards that run have been told.",
        labels=_LABELS,
    )
    ratio = GaugeMetricFamily(
        "easypay_compression_ratio",
        "What is left of a byte, on average, as far as shards that run have been told.",
        labels=_LABELS,
    )
    before, after = _summed(accounts, INPUT_BYTES), _summed(accounts, OUTPUT_BYTES)
    for labels, bytes_in in before.items():
        bytes_out = after.get(labels, 0)
        saved.add_metric(labels, bytes_in - bytes_out)
        if bytes_in:
            ratio.add_metric(labels, bytes_out / bytes_in)
    yield from (saved, ratio)


def _summed(accounts: Accounts, name: str) -> dict[tuple[str, ...], float]:
    """Return the sums over all shards, by labels."""
    total: dict[tuple[str, ...], float] = {}
    for tallies in accounts.values():
        for series, count in tallies.items():
            if series.name == name:
                total[series.labels] = total.get(series.labels, 0) + count
    return total
