"""How much the cache answers, how quickly, and how full it is."""

from __future__ import annotations

from cluster.dashboards.board import Board
from cluster.dashboards.expressions import quantile, rate, ratio, seldom
from cluster.dashboards.panel import BYTES, COUNT, PER_SECOND, RATIO, SECONDS, YES_NO, Kind, Panel, Query, Row

_READS = "easypay_cache_reads_total"
_HITS = 'outcome=~"near_hit|joined|shard_hit"'
_USE = Row(
    "Reads",
    (
        Panel(
            "Hit rate", Kind.GRAPH, RATIO,
            (Query(ratio(rate(_READS, "model", where=_HITS), rate(_READS, "model")), "{{model}}"),),
            "Reads that asked no database.",
        ),
        Panel("Reads by end", Kind.STACK, PER_SECOND, (Query(rate(_READS, "outcome"), "{{outcome}}"),)),
        Panel(
            "Bypasses", Kind.GRAPH, PER_SECOND,
            (Query(seldom(rate("easypay_cache_bypasses_total", "reason")), "{{reason}}"),),
            "Reads for which the cache might not say.",
        ),
        Panel(
            "How long a read takes (p99)", Kind.GRAPH, SECONDS,
            (Query(quantile(0.99, "easypay_cache_read_seconds", "level"), "{{level}}"),), columns=12,
        ),
        Panel(
            "How long a writer waits for shards (p99)", Kind.GRAPH, SECONDS,
            (Query(quantile(0.99, "easypay_cache_change_begin_seconds", "model"), "{{model}}"),), columns=12,
        ),
    ),
)  # fmt: skip
_SHARDS = Row(
    "Shards",
    (
        Panel(
            "Memory", Kind.GRAPH, BYTES,
            (Query("easypay_cache_bytes", "{{shard}}"), Query("max(easypay_cache_limit_bytes)", "bound")),
        ),
        Panel(
            "Evictions", Kind.GRAPH, PER_SECOND,
            (Query(rate("easypay_cache_evictions_total", "shard"), "{{shard}}"),), "For want of room.",
        ),
        Panel(
            "Values and copies", Kind.GRAPH, COUNT,
            (Query("easypay_cache_entries", "{{shard}}"), Query("easypay_cache_near_copies", "{{shard}} held near")),
        ),
        Panel(
            "Shards are there", Kind.STATES, COUNT, (Query("easypay_cache_shard_up", "{{shard}}"),), "", 12, YES_NO
        ),
        Panel(
            "Redis is used", Kind.STATES, COUNT, (Query("easypay_cache_redis_usable", "{{shard}}"),),
            "No: its breaker is open, or it came back with the past.", 12, YES_NO,
        ),
    ),
)  # fmt: skip

BOARD = Board("cache", "Cache", "How much the cache answers, and how.", (_USE, _SHARDS))
