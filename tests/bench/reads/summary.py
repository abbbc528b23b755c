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
    """Hold the medians of one size, or of the windows without a cache.

    ``paced`` are those of equally many requests. Statements, and payments that they found, are per request. ``best`` is
    the best static hit rate of what the shards hold.
    """

    share: float | None
    cached: bool
    paced: bool
    size: CacheSize | None
    rate: float
    hit_rate: float | None
    memory_hit_rate: float | None
    best: float | None
    read_mean_ms: float
    inside_ms: float | None
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


def mixed_lines(results: Results, payments: int) -> list[MixedLine]:
    """Return two lines for each size and two without a cache: at full load, and at equally many requests."""
    sizes: dict[float | None, CacheSize] = {size.wanted_share: size for size in results.sizes}
    kinds = dict.fromkeys((window.share, window.cached, window.think_ms > 0) for window in results.mixed)
    return [
        _line(
            [w for w in results.mixed if (w.share, w.cached, w.think_ms > 0) == (share, cached, paced)],
            sizes.get(share) if cached else None,
            payments,
        )
        for share, cached, paced in kinds
    ]


def _of_size(windows: Sequence[MixedWindow], size: CacheSize, payments: int, *, largest: bool) -> list[Figure | None]:
    """Return the figures of one size. Where it is not the largest, they are about what the policy keeps in memory."""
    name = f"cache of {size.wanted_share:.0%}"
    counts = [window.counts for window in _of(windows, size, cached=True, paced=False) if window.counts]
    best = round(best_static(payments, size.held) - BELOW_BEST_MAX, 4)
    return [
        _figure(f"{name}: hit rate", [each.hit_rate for each in counts], bound=LARGE_HIT_RATE_MIN if largest else None),
        _figure(f"{name}: hit rate in memory", [each.memory_hit_rate for each in counts], bound=best),
        # How many statements are saved, and how much sooner an answer comes, depends on how busy the machine is: at
        # full load requests share statements, and wait for the processors. The targets are for equally many requests,
        # so few that a read waits for what it needs and hardly for others.
        *_cuts_of(name, windows, size, paced=True, has_targets=largest),
        *_cuts_of(f"{name}, full load", windows, size, paced=False, has_targets=False),
    ]


def _cuts_of(
    name: str, windows: Sequence[MixedWindow], size: CacheSize, *, paced: bool, has_targets: bool
) -> list[Figure | None]:
    def cut(what: str, value: Callable[[MixedWindow], float | None], bound: float | None) -> Figure | None:
        return _figure(f"{name}: cut of {what}", _cuts(windows, size, value, paced=paced), bound=bound)

    return [
        cut(
            "statements per request",
            lambda window: window.statements.calls / window.load.requests,
            STATEMENTS_CUT_MIN if has_targets else None,
        ),
        cut("payments asked of PostgreSQL", lambda window: window.statements.found / window.load.requests, None),
        cut(
            "the mean latency of reads to their client",
            lambda window: window.load.read_mean_ms,
            LATENCY_CUT_MIN if has_targets else None,
        ),
        cut(
            "the mean time of reads in the gateway",
            lambda window: window.inside_ms,
            LATENCY_CUT_MIN if has_targets else None,
        ),
    ]


def _cuts(
    windows: Sequence[MixedWindow], size: CacheSize, value: Callable[[MixedWindow], float | None], *, paced: bool
) -> list[float]:
    """Return by how much the cache lowers a value, round by round."""
    with_cache = {window.round: value(window) for window in _of(windows, size, cached=True, paced=paced)}
    without = {window.round: value(window) for window in _of(windows, size, cached=False, paced=paced)}
    pairs = ((with_cache[turn], without[turn]) for turn in with_cache.keys() & without.keys())
    return [1 - lower / higher for lower, higher in pairs if lower is not None and higher]


def _of(windows: Iterable[MixedWindow], size: CacheSize, *, cached: bool, paced: bool) -> Iterable[MixedWindow]:
    wanted = (size.wanted_share if cached else None, cached, paced)
    return (window for window in windows if (window.share, window.cached, window.think_ms > 0) == wanted)


def _figure(name: str, values: Sequence[float], bound: float | None = None, *, at_most: bool = False) -> Figure | None:
    if not values:
        return None
    return Figure(name, median(values), min(values), max(values), bound, at_most=at_most)


def _line(windows: Sequence[MixedWindow], size: CacheSize | None, payments: int) -> MixedLine:
    loads = [window.load for window in windows]
    counts = [window.counts for window in windows if window.cached and window.counts]
    inside = [window.inside_ms for window in windows if window.inside_ms is not None]
    return MixedLine(
        share=windows[0].share,
        cached=windows[0].cached,
        paced=windows[0].think_ms > 0,
        size=size,
        rate=median(load.requests / load.seconds for load in loads),
        hit_rate=median(each.hit_rate for each in counts) if counts else None,
        memory_hit_rate=median(each.memory_hit_rate for each in counts) if counts else None,
        best=best_static(payments, size.held) if size else None,
        read_mean_ms=median(load.read_mean_ms for load in loads),
        inside_ms=median(inside) if inside else None,
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
