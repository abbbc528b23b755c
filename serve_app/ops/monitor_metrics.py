"""What processes told the monitor, for Prometheus: the same whichever replica is scraped.

`easypay_monitor_up` is 0 while it does not answer or is switched off; the other series are missing then. Counters and
histograms begin with the monitor's start. What any code counts by a name of its own is here too, under that name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily, Metric

from actors.monitor.instruments import FOLDED
from actors.monitor.messages import Totals
from actors.monitor.monitor import ALERTS, LEVEL, PROCESSES
from actors.monitor.series import Series
from actors.monitor.store import REPORTS
from actors.runtime.histogram import Histogram
from serve_app.monitoring import names
from serve_app.ops.cache_metrics import BOUNDS_S

BOUNDS_BYTES = (100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7)
"""The bounds of sizes, each within 0.3 % of the edge of a bucket of the histogram that they are made of."""

COUNTERS: Mapping[str, str] = {
    names.HTTP_REQUESTS: "Requests by method, by the template of their path, and by the status of their answer.",
    names.PAYMENTS: "Payments by the state that an outcome brought them into.",
    names.PAYMENTS_AMOUNT: "Amounts of those outcomes, in minor units of the currency.",
    names.PROCESSOR_CALLS: "Charges that processors were asked for, by what came of it; without test tokens that fail.",
    names.CACHE_LOOKUPS: "Reads that a cache answered, near or at a shard, and those that had to be loaded.",
    names.CACHE_PUSHED_OUT: "Values that shards had no room for, since the monitor began; by shard: cache_evictions.",
    names.PROCESS_CPU: "Processor time that a process has used.",
    REPORTS: "Batches that the monitor took from processes.",
    FOLDED: "How often something new of a name was counted as other, for want of room.",
}  # fmt: skip
GAUGES: Mapping[str, str] = {
    names.PROCESS_MEMORY: "Memory of a process.",
    names.PROCESS_FILES: "Files, sockets and pipes that a process has open.",
    names.MACHINE_CPU: "The part of a machine's processors, or of its container's, that is busy.",
    names.MACHINE_MEMORY: "The part of a machine's memory, or of its container's, that is used.",
    names.MACHINE_DISK: "The part of a machine's disk that is used.",
    names.LOOP_LAG: "How late a process's event loop is, on average over a second.",
    names.UTILISATION: "The part of a bounded resource that is used.",
    names.ACTOR_UP: "Whether an actor answers the monitor.",
    names.BREAKER_OPEN: "Whether a circuit breaker is not closed in the cluster or in any process.",
    names.REDIS_UP: "Whether Redis answers, and by shard whether the cache uses it.",
    names.SERVER_UP: "Whether a server of the database answers.",
    names.STATEMENT_OLDEST: "For how long the connection that is in use longest has been.",
    names.PROCESS_ENDING: "Whether a process has told that it ends.",
    ALERTS: "Alerts that are pending or firing.",
    LEVEL: "How well it goes, overall and by figure: from 4 (excellent) to 0 (critical).",
    PROCESSES: "Processes that the monitor hears.",
}
HISTOGRAMS: Mapping[str, str] = {
    names.HTTP_DURATION: "How long requests took, until the last byte of the answer or the first of a stream.",
    names.HTTP_REQUEST_SIZE: "Sizes of bodies of requests that have one.",
    names.HTTP_RESPONSE_SIZE: "Sizes of bodies of answers, as they are sent.",
    names.STAGE_DURATION: "How long requests were in each stage; of admission and the pool, those that had to wait.",
    names.STATEMENT_DURATION: "How long a connection to the database was in use.",
}

_Told = TypeVar("_Told")

_CUSTOM = "A measure of a name that some code chose."
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")


def monitor_families(totals: Totals | None) -> Iterator[Metric]:
    """Yield the metrics of the monitor, None where it does not answer."""
    yield GaugeMetricFamily("easypay_monitor_up", "Whether the monitor answers.", float(totals is not None))
    if totals is None:
        return
    for name, counts in _by_name(totals.counters, COUNTERS):
        yield _counter(name, counts)
    for name, values in _by_name(totals.gauges, GAUGES):
        gauge = Metric(name, GAUGES.get(name, _CUSTOM), "gauge")
        for series, value in values:
            gauge.add_sample(name, dict(series.labels), value)
        yield gauge
    for name, histograms in _by_name(totals.histograms, HISTOGRAMS):
        yield _histogram(name, histograms)


def _by_name(told: Mapping[Series, _Told], known: Iterable[str]) -> Iterator[tuple[str, list[tuple[Series, _Told]]]]:
    """Yield what was told of each name; of the known ones also where that is nothing. What cannot be a name of a metric
    is left out: it would spoil the whole scrape."""
    named: defaultdict[str, list[tuple[Series, _Told]]] = defaultdict(list)
    for name in known:
        named[name] = []
    for series, value in told.items():
        if _NAME.match(series.name):
            named[series.name].append((series, value))
    yield from named.items()


def _counter(name: str, counts: Iterable[tuple[Series, float]]) -> Metric:
    family = name.removesuffix("_total")
    counter = Metric(family, COUNTERS.get(name, _CUSTOM), "counter")
    for series, count in counts:
        counter.add_sample(f"{family}_total", dict(series.labels), count)
    return counter


def _histogram(name: str, histograms: Iterable[tuple[Series, Histogram]]) -> Metric:
    family = Metric(name, HISTOGRAMS.get(name, _CUSTOM), "histogram")
    bounds = BOUNDS_BYTES if name.endswith("_bytes") else BOUNDS_S
    for series, histogram in histograms:
        labels = dict(series.labels)
        for bound, count in zip(bounds, histogram.up_to(bounds), strict=True):
            family.add_sample(f"{name}_bucket", {**labels, "le": str(bound)}, count)
        family.add_sample(f"{name}_bucket", {**labels, "le": "+Inf"}, histogram.count)
        family.add_sample(f"{name}_count", labels, histogram.count)
        family.add_sample(f"{name}_sum", labels, histogram.total)
    return family
