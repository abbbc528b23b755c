"""Compression for Prometheus.

Each replica counts for itself, and a scrape through the gateway's port reaches one of them: its series are there, those
of the others are not. So rates need a window of several scrapes, or each replica a scrape of its own, and sums over
`process` must be taken of rates. A replica that starts again is another process, which begins at 0.

The ratio of a window, not of all time, is
`sum by (route, codec) (rate(..._output_bytes_total[10m])) / sum by (route, codec) (rate(..._input_bytes_total[10m]))`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from serve_app.compression.counts import Encoded, ProcessCounts

_LABELS = ["process", "route", "codec"]
_COUNTERS: tuple[tuple[str, str, Callable[[Encoded], float]], ...] = (
    ("bodies", "Bodies that were encoded.", lambda counts: counts.bodies),
    ("input_bytes", "Bytes of those bodies before.", lambda counts: counts.bytes_in),
    ("output_bytes", "Bytes of those bodies as they were sent.", lambda counts: counts.bytes_out),
    ("seconds", "Time of a processor that encoding took, on the loop or in the thread.", lambda counts: counts.took_s),
)


def compression_families(counts: ProcessCounts) -> Iterator[Metric]:
    """Yield the metrics of one process's compression."""
    for name, text, value in _COUNTERS:
        family = CounterMetricFamily(f"easypay_compression_{name}", text, labels=_LABELS)
        for (route, codec), encoded in counts.encoded.items():
            family.add_metric([counts.process, route, codec.value], value(encoded))
        yield family
    yield from _results(counts)
    refused = CounterMetricFamily(
        "easypay_compression_refusals",
        "Bodies of a kind that is encoded, for clients that accept it, that stayed as they were.",
        labels=["process", "route", "reason"],
    )
    for (route, why), count in counts.refused.items():
        refused.add_metric([counts.process, route, why.value], count)
    yield refused


def _results(counts: ProcessCounts) -> Iterator[Metric]:
    # Gauges: where flushed chunks are tiny they come out longer than they went in, and a counter cannot fall.
    saved = GaugeMetricFamily(
        "easypay_compression_saved_bytes", "Bytes that did not have to be sent, since the start.", labels=_LABELS
    )
    ratio = GaugeMetricFamily(
        "easypay_compression_ratio", "What is left of a byte, on average since the start.", labels=_LABELS
    )
    for (route, codec), encoded in counts.encoded.items():
        labels = [counts.process, route, codec.value]
        saved.add_metric(labels, encoded.bytes_in - encoded.bytes_out)
        if encoded.bytes_in:
            ratio.add_metric(labels, encoded.bytes_out / encoded.bytes_in)
    yield from (saved, ratio)
