"""The cache for Prometheus.

What a scraper sees: each series is counted by one shard from its start on, and never falls while it lives. When the
shard starts again its series begin anew from 0, which `rate` and `increase` take for a reset, and
`easypay_cache_shard_start_time_seconds` tells even where the counts have outgrown the old ones between two scrapes. So
the sum over shards must be taken of rates, not of the counts. While a shard does not answer its series are missing, but
for `easypay_cache_shard_up`. What processes count of their reads is kept by whichever shard they tell it to, which says
nothing about where the keys are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actors.cache.counts import ModelMetrics
from actors.cache.messages import ShardSnapshot, ShardState
from actors.runtime.histogram import Histogram

BOUNDS_S = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""The bounds of latencies, each within 0.3 % of the edge of a bucket of the histogram that they are made of."""

_TOLD = "`shard` is who was told, not who has the key."

_Snapshots = Mapping[str, ShardSnapshot]

_GAUGES: tuple[tuple[str, str, Callable[[ShardState], float]], ...] = (
    ("shard_ready", "Whether the shard serves: not in its first two seconds.", lambda state: state.ready),
    ("entries", "Values that the shard holds.", lambda state: state.entries),
    ("bytes", "Memory that the shard uses for values.", lambda state: state.bytes_used),
    ("limit_bytes", "Memory that the shard may use for values.", lambda state: state.bound_bytes),
    ("sessions", "Processes that the shard talks to.", lambda state: state.sessions),
    ("near_copies", "Copies of values of the shard that processes may hold near.", lambda state: state.held),
    ("changes_in_flight", "Changes that have begun and not ended.", lambda state: state.changing),
    ("loads_in_flight", "Loads that have begun and not ended.", lambda state: state.loading),
    ("redis_usable", "Whether the shard uses Redis at the moment.", lambda state: state.redis),
)
_SHARD_COUNTERS: tuple[tuple[str, str, Callable[[ShardState], float]], ...] = (
    ("evictions", "Values that had to go, or never got in, for want of room.", lambda state: state.evictions),
    (
        "redis_moves",
        "How often Redis could not be trusted, and was left for new keys.",
        lambda state: state.redis_moves,
    ),
)
_MODEL_COUNTERS: tuple[tuple[str, str, Callable[[ModelMetrics], float]], ...] = (
    ("negative_hits", "Shard hits that said there is no such thing.", lambda counts: counts.negative_hits),
    ("waits", "Reads that waited for a load of another process.", lambda counts: counts.waited),
    ("refreshes", "Loads ahead of an expiry, for which no read waited.", lambda counts: counts.refreshes),
    ("near_updates", "New states that shards sent of what was held near.", lambda counts: counts.updates),
    ("near_evictions", "Values that processes had no room for.", lambda counts: counts.near_evictions),
    ("stale_refusals", "Answers not kept near: a change overtook them.", lambda counts: counts.stale_refusals),
)


def cache_families(snapshots: Mapping[str, ShardSnapshot | None]) -> Iterator[Metric]:
    """Yield the metrics of the cache from the states of its shards by name, None where one does not answer."""
    up = GaugeMetricFamily("easypay_cache_shard_up", "Whether the shard answers.", labels=["shard"])
    for shard, snapshot in snapshots.items():
        up.add_metric([shard], snapshot is not None)
    yield up
    answered = {shard: snapshot for shard, snapshot in snapshots.items() if snapshot is not None}
    yield from _of_shards(answered)
    yield from _of_reads(answered)
    yield _finds(answered)
    yield from _latencies(answered)


def _of_shards(snapshots: _Snapshots) -> Iterator[Metric]:
    start = GaugeMetricFamily(
        "easypay_cache_shard_start_time_seconds", "When the shard's counts were 0.", labels=["shard"]
    )
    for shard, snapshot in snapshots.items():
        start.add_metric([shard], snapshot.started_at)
    yield start
    for kind, facts in ((GaugeMetricFamily, _GAUGES), (CounterMetricFamily, _SHARD_COUNTERS)):
        for name, text, value in facts:
            family = kind(f"easypay_cache_{name}", text, labels=["shard"])
            for shard, snapshot in snapshots.items():
                family.add_metric([shard], value(snapshot.state))
            yield family
    refused = CounterMetricFamily(
        "easypay_cache_refused_fills",
        "What the shard did not take of loads and changes: called off or told before, or older than what is known.",
        labels=["shard", "reason"],
    )
    for shard, snapshot in snapshots.items():
        refused.add_metric([shard, "late"], snapshot.state.late_fills)
        refused.add_metric([shard, "outdated"], snapshot.state.outdated_fills)
    yield refused


def _of_reads(snapshots: _Snapshots) -> Iterator[Metric]:
    reads = CounterMetricFamily(
        "easypay_cache_reads", f"How reads ended; each is in one outcome. {_TOLD}", labels=["shard", "model", "outcome"]
    )
    bypasses = CounterMetricFamily(
        "easypay_cache_bypasses",
        f"Reads that went to the database because the cache may not say. {_TOLD}",
        labels=["shard", "model", "reason"],
    )
    others = [
        (CounterMetricFamily(f"easypay_cache_{name}", f"{text} {_TOLD}", labels=["shard", "model"]), value)
        for name, text, value in _MODEL_COUNTERS
    ]
    for shard, model, metrics in _read_models(snapshots):
        for outcome, count in _outcomes(metrics).items():
            reads.add_metric([shard, model, outcome], count)
        for reason, count in metrics.bypasses.items():
            bypasses.add_metric([shard, model, reason], count)
        for family, value in others:
            family.add_metric([shard, model], value(metrics))
    yield from (reads, bypasses, *(family for family, _ in others))


def _read_models(snapshots: _Snapshots) -> Iterator[tuple[str, str, ModelMetrics]]:
    """Yield what was read: of lists, changes are counted under a name that nobody reads."""
    for shard, snapshot in snapshots.items():
        for model, metrics in snapshot.metrics.items():
            if metrics.reads or metrics.refreshes:
                yield shard, model, metrics


def _outcomes(metrics: ModelMetrics) -> Mapping[str, int]:
    return {
        "near_hit": metrics.near_hits,
        "joined": metrics.joined,
        "shard_hit": metrics.shard_hits,
        "load": metrics.loads - metrics.refreshes,
        "bypass": sum(metrics.bypasses.values()),
    }


def _finds(snapshots: _Snapshots) -> Metric:
    finds = CounterMetricFamily(
        "easypay_cache_redis_finds",
        "How Redis answered the shard that looked for a key.",
        labels=["shard", "model", "outcome"],
    )
    for shard, snapshot in snapshots.items():
        for model, found in snapshot.finds.items():
            finds.add_metric([shard, model, "hit"], found.hits)
            finds.add_metric([shard, model, "miss"], found.misses)
            finds.add_metric([shard, model, "failure"], found.failures)
    return finds


def _latencies(snapshots: _Snapshots) -> Iterator[Metric]:
    reads = HistogramMetricFamily(
        "easypay_cache_read_seconds",
        "How long a shard took to answer, as the reader saw it, Redis the shard, and the database the reader.",
        labels=["shard", "model", "level"],
    )
    begins = HistogramMetricFamily(
        "easypay_cache_change_begin_seconds",
        "How long a writer waited for shards before it could commit, by the model of the first key or tag.",
        labels=["shard", "model"],
    )
    for shard, snapshot in snapshots.items():
        for model, metrics in snapshot.metrics.items():
            _add(reads, [shard, model, "shard"], metrics.shard_s)
            _add(reads, [shard, model, "database"], metrics.load_s)
            _add(begins, [shard, model], metrics.begin_s)
        for model, found in snapshot.finds.items():
            _add(reads, [shard, model, "redis"], found.find_s)
    yield from (reads, begins)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    """Add what was ever recorded."""
    if histogram.count:
        buckets = [(str(bound), float(count)) for bound, count in zip(BOUNDS_S, histogram.up_to(BOUNDS_S), strict=True)]
        family.add_metric(labels, [*buckets, ("+Inf", histogram.count)], histogram.total)
