"""The summary: what each part comes to, and the targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.reads.driver import Results
from tests.bench.reads.mixed import MixedWindow
from tests.bench.reads.sizes import CacheSize
from tests.bench.reads.zipf import best_static
from tests.bench.summary import Figure, latency, ratio

SERVED_RATIO_MIN = 1.5
ECHO_RATIO_MIN = 0.5
SHARD_P50_MS_MAX = 3.0
LARGE_HIT_RATE_MIN = 0.85
BELOW_BEST_MAX = 0.04
STATEMENTS_CUT_MIN = 0.7
LATENCY_CUT_MIN = 0.6


@dataclass(frozen=True, slots=True)
class MixedLine:
    """Hold the medians of one size, or of the windows without a cache that were measured beside it.

    Statements, and payments that they found, are per request. ``best`` is the best static hit rate of what the shards
    hold, ``best_with_near`` that of the shards and all near caches, if none of them held what another holds.
    """

    pair: float | None
    cached: bool
    size: CacheSize | None
    rate: float
    hit_rate: float | None
    best: float | None
    best_with_near: float | None
    read_mean_ms: float
    read_p50_ms: float
    read_p99_ms: float
    write_mean_ms: float
    statements: float
    found: float
    cpu_s_per_1000: dict[str, float]


def figures(results: Results, payments: int) -> list[Figure]:
    """Return everything that has a target, or decides a doubt; leaves out what was not measured."""
    found = [
        ratio(results.near, "served-peer", bound=SERVED_RATIO_MIN),
        ratio(results.near, "echo", bound=ECHO_RATIO_MIN),
        ratio(results.near, "bare-peer", aim=1.0),
        latency(results.near),
        _figure(
            "p50 at the shards, 1 connection, ms",
            [each.window.load.p50_ms for each in results.shard],
            bound=SHARD_P50_MS_MAX,
            at_most=True,
        ),
        _figure("part of those reads that a shard answered", [e.counts.shard_share for e in results.shard if e.counts]),
    ]
    for size in results.sizes:
        found += _of_size(results.mixed, size, payments, largest=size == max(results.sizes, key=lambda each: each.held))
    return [figure for figure in found if figure is not None]


def mixed_lines(results: Results, payments: int, replicas: int) -> list[MixedLine]:
    """Return two lines for each size: with the cache, and without."""
    sizes: dict[float | None, CacheSize] = {size.wanted_share: size for size in results.sizes}
    kinds = dict.fromkeys((window.pair, window.cached) for window in results.mixed)
    return [
        _line(
            [window for window in results.mixed if (window.pair, window.cached) == (pair, cached)],
            sizes.get(pair) if cached else None,
            payments,
            replicas,
        )
        for pair, cached in kinds
    ]


def _of_size(windows: Sequence[MixedWindow], size: CacheSize, payments: int, *, largest: bool) -> list[Figure | None]:
    """Return the figures of one size. The cuts have targets where the cache is largest: what is not held is asked."""
    name = f"cache of {size.wanted_share:.0%}"
    hit_rate_min = LARGE_HIT_RATE_MIN if largest else best_static(payments, size.held) - BELOW_BEST_MAX
    rates = [window.counts.hit_rate for window in _of(windows, size, cached=True) if window.counts]
    return [
        _figure(f"{name}: hit rate", rates, bound=round(hit_rate_min, 4)),
        _figure(
            f"{name}: cut of statements per request",
            _cuts(windows, size, lambda window: window.statements.calls / window.load.requests),
            bound=STATEMENTS_CUT_MIN if largest else None,
        ),
        _figure(
            f"{name}: cut of payments that PostgreSQL is asked for",
            _cuts(windows, size, lambda window: window.statements.found / window.load.requests),
        ),
        _figure(
            f"{name}: cut of the mean latency of reads",
            _cuts(windows, size, lambda window: window.load.read_mean_ms),
            bound=LATENCY_CUT_MIN if largest else None,
        ),
    ]


def _cuts(windows: Sequence[MixedWindow], size: CacheSize, value: Callable[[MixedWindow], float]) -> list[float]:
    """Return by how much the cache lowers a value, round by round."""
    with_cache = {window.round: value(window) for window in _of(windows, size, cached=True)}
    without = {window.round: value(window) for window in _of(windows, size, cached=False)}
    return [1 - with_cache[turn] / without[turn] for turn in with_cache.keys() & without.keys() if without[turn]]


def _of(windows: Iterable[MixedWindow], size: CacheSize, *, cached: bool) -> Iterable[MixedWindow]:
    return (window for window in windows if (window.pair, window.cached) == (size.wanted_share, cached))


def _figure(name: str, values: Sequence[float], bound: float | None = None, *, at_most: bool = False) -> Figure | None:
    if not values:
        return None
    return Figure(name, median(values), min(values), max(values), bound, at_most=at_most)


def _line(windows: Sequence[MixedWindow], size: CacheSize | None, payments: int, replicas: int) -> MixedLine:
    loads = [window.load for window in windows]
    rates = [window.counts.hit_rate for window in windows if window.cached and window.counts]
    return MixedLine(
        pair=windows[0].pair,
        cached=windows[0].cached,
        size=size,
        rate=median(load.requests / load.seconds for load in loads),
        hit_rate=median(rates) if rates else None,
        best=best_static(payments, size.held) if size else None,
        best_with_near=best_static(payments, size.held + replicas * size.near_held) if size else None,
        read_mean_ms=median(load.read_mean_ms for load in loads),
        read_p50_ms=median(load.read_p50_ms for load in loads),
        read_p99_ms=median(load.read_p99_ms for load in loads),
        write_mean_ms=median(load.write_mean_ms for load in loads),
        statements=median(window.statements.calls / window.load.requests for window in windows),
        found=median(window.statements.found / window.load.requests for window in windows),
        cpu_s_per_1000={
            group: median(window.cpu.get(group, 0.0) / window.load.requests * 1000 for window in windows)
            for group in dict.fromkeys(group for window in windows for group in window.cpu)
        },
    )
