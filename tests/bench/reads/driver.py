"""The driver: brings up gateways with caches of several sizes, and measures each part of the benchmark on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field

from tests.bench.driver import Bench, Progress
from tests.bench.gateway import Gateway, started
from tests.bench.load import LoadGenerator
from tests.bench.profiler import SelfTime
from tests.bench.reads.cache_counts import CacheCounts, added, settled_counts
from tests.bench.reads.mixed import WARM_UP_CONNECTIONS, MixedRun, MixedWindow
from tests.bench.reads.options import Options
from tests.bench.reads.payments import make_payments, size_in_cache
from tests.bench.reads.sizes import BYTES_MIN, CacheSize, size_for
from tests.bench.reads.subjects import bare_peer, read_echo, reading, served_peer
from tests.bench.subjects import Subject
from tests.bench.window import Meter, Window

# Little is held near, so that a few thousand payments are read at the shards. The small set of the near part fits.
LITTLE_NEAR = {"NEAR_CACHE_BYTES": str(BYTES_MIN)}
WITHOUT_CACHE = {"CACHE_SHARDS": "0"}
# Enough for each payment to be read once on the slowest machine that anyone would measure with.
WARM_UP_RATE_MIN = 1000


@dataclass(frozen=True, slots=True)
class ShardWindow:
    """Hold a window at one connection, and how its reads ended, which is None where the gateway does not tell."""

    window: Window
    counts: CacheCounts | None


@dataclass(slots=True)
class Results:
    """Hold everything that was measured."""

    near: list[Window] = field(default_factory=list)
    shard: list[ShardWindow] = field(default_factory=list)
    sizes: list[CacheSize] = field(default_factory=list)
    mixed: list[MixedWindow] = field(default_factory=list)
    profile: tuple[float, list[SelfTime], list[SelfTime]] | None = None


def measure(options: Options, generator: LoadGenerator, progress: Progress) -> Results:
    """Measure the parts that are wanted; everything that was started is down again at the end, whatever happens."""
    run = _Run(options, generator, progress)
    if "near" in options.parts or "shard" in options.parts or not options.sizes:
        run.with_little_near()
    if "mixed" in options.parts and options.sizes:
        run.mixed()
    return run.results


class _Run:
    def __init__(self, options: Options, generator: LoadGenerator, progress: Progress) -> None:
        self._options = options
        self._generator = generator
        self._progress = progress
        self.results = Results()

    def with_little_near(self) -> None:
        """Measure what one gateway is enough for."""
        self._progress("starting the gateway")
        with started(self._options.replicas, LITTLE_NEAR) as gateway:
            if "near" in self._options.parts:
                self._near(gateway)
            if "shard" in self._options.parts:
                self._shard(gateway)
            if "mixed" in self._options.parts and not self._options.sizes:
                ids = self._payments(gateway, self._options.payments)
                mixed = self._mixed_run(ids)
                mixed.warm_up(gateway, self._options.warm_up)
                self._mixed_window(mixed, gateway, 0, None, cached=True)

    def mixed(self) -> None:
        """Measure in turns a gateway without a cache and one of each size, each alone on the machine: one that merely
        stands by takes a fifth of two cores, and the answers of the other wait for them."""
        for turn in range(self._options.rounds):
            self._progress("starting a gateway without a cache")
            with started(self._options.replicas, WITHOUT_CACHE) as gateway:
                ids = self._payments(gateway, self._options.payments)
                run = self._mixed_run(ids, turn)
                if turn == 0:
                    each_bytes = size_in_cache(gateway, ids[0])
                    self.results.sizes = [size_for(share, len(ids), each_bytes) for share in self._options.sizes]
                run.warm_up(gateway, 1)
                full = self._mixed_window(run, gateway, turn, None, cached=False)
                # Equally many requests for all: a part of what this one can answer.
                rate = self._options.paced * full.load.requests / full.load.seconds
                think_ms = 1000 * self._options.mixed_connections / rate
                self._mixed_window(run, gateway, turn, None, cached=False, think_ms=think_ms)
            for size in self.results.sizes:
                self._progress(f"starting a gateway with {size.environment()}")
                with started(self._options.replicas, size.environment()) as gateway:
                    self._payments(gateway, self._options.payments)
                    self._progress(f"warming up for at most {self._options.warm_up:g} s")
                    self._progress(f"the last reads hit {run.warm_up(gateway, self._options.warm_up):.1%}")
                    self._mixed_window(run, gateway, turn, size.wanted_share, cached=True)
                    self._mixed_window(run, gateway, turn, size.wanted_share, cached=True, think_ms=think_ms)

    def _near(self, gateway: Gateway) -> None:
        options = self._options
        ids = self._payments(gateway, options.near_payments)
        with ExitStack() as stack:
            subjects = []
            for name in options.subjects:
                self._progress(f"preparing {name}")
                subjects.append(stack.enter_context(self._subject(name, gateway, ids)))
            bench = Bench(gateway, subjects, self._generator)
            self.results.near = bench.rounds(options, self._progress)
            if options.profile:
                self.results.profile = bench.profile(options.profile)

    def _subject(self, name: str, gateway: Gateway, ids: Sequence[str]) -> AbstractContextManager[Subject]:
        match name:
            case "echo":
                return read_echo(gateway, ids, self._options.replicas)
            case "served-peer":
                return served_peer(gateway, ids, self._options.replicas)
            case "bare-peer":
                return bare_peer(gateway, ids)
            case _:
                return nullcontext(reading(gateway, ids))

    def _shard(self, gateway: Gateway) -> None:
        options = self._options
        subject = reading(gateway, self._payments(gateway, options.shard_payments))
        meter = Meter(self._generator, {gateway.pid: "launcher"})
        self._progress("warming up the shards")
        seconds = max(1.0, options.shard_payments / WARM_UP_RATE_MIN)
        meter.warm_up(subject, connections=WARM_UP_CONNECTIONS, seconds=seconds)
        for turn in range(options.rounds):
            before = settled_counts(gateway)
            window = meter.measure(subject, connections=1, seconds=options.seconds, turn=turn)
            # The second of warm-up that is part of the measurement is counted too: it reads the same payments.
            counts = added(settled_counts(gateway), before)
            self.results.shard.append(ShardWindow(window, counts))
            self._progress(f"round {turn + 1}/{options.rounds}, at the shards, p50 {window.load.p50_ms:7.2f} ms")

    def _mixed_window(
        self,
        run: MixedRun,
        gateway: Gateway,
        turn: int,
        share: float | None,
        *,
        cached: bool,
        think_ms: float = 0.0,
    ) -> MixedWindow:
        seconds = self._options.seconds
        window = run.measure(gateway, seconds, share=share, cached=cached, turn=turn, think_ms=think_ms)
        self.results.mixed.append(window)
        hits = f"{window.counts.hit_rate:.1%} hits, " if window.counts and window.counts.reads else ""
        kind = f"{'paced' if think_ms else 'mixed'}, {'with' if cached else 'without'} a cache"
        self._progress(
            f"round {turn + 1}/{self._options.rounds}, {kind}: {hits}"
            f"{window.load.requests / window.load.seconds:,.0f}/s, reads {window.load.read_mean_ms:.2f} ms on average"
        )
        return window

    def _mixed_run(self, ids: Sequence[str], turn: int = 0) -> MixedRun:
        options = self._options
        return MixedRun(ids, options.mixed_connections, options.write_share, options.seed * 100 + turn)

    def _payments(self, gateway: Gateway, count: int) -> Sequence[str]:
        self._progress(f"making {count:,} payments")
        return make_payments(gateway, count, random.Random(self._options.seed))
