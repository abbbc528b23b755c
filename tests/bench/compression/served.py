"""Pages of payments as a whole gateway serves them: what each codec makes of them, and what they take with it.

A client on the same machine gains nothing from fewer bytes, so the ratio of the medians is the price of compression
alone: 1 would be none. The windows of a pair follow each other, one with Accept-Encoding and one without, and each is
first in every other pair. Beside the busy ones payments are made all the while.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil

from tests.bench.compression.pages import Page
from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway, new_key
from tests.bench.load import Load, LoadFailed, LoadGenerator
from tests.bench.ratio import Ratio, paired_ratio
from tests.bench.subjects import easypay
from tests.bench.target import Target

ACCEPTED = "gzip, deflate, br, zstd"
RATIO_MAX = 1.0
_PAYING_CONNECTIONS = 32
_LIST_CONNECTIONS = 2
_SETTLE_S = 1.0
_JOIN_S = 60.0


@dataclass(frozen=True, slots=True)
class ServedFigure:
    """Hold the median times of a page in milliseconds, with Accept-Encoding and without, at one load.

    ``busy`` is the share of all processors' time that was used meanwhile.
    """

    page: str
    load: str
    with_ms: float
    without_ms: float
    ratio: Ratio
    busy: float

    @property
    def met(self) -> bool | None:
        """Whether the page is not shown to be slower, on processors that are busy; None where they are not."""
        return self.ratio.low <= RATIO_MAX if self.load == "busy" else None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and for how many seconds pages are measured."""

    pairs: int
    seconds: float


def served_figures(
    gateway: Gateway, pages: Sequence[Page], generator: LoadGenerator, pace: Pace, progress: Callable[[str], None]
) -> Iterator[ServedFigure]:
    """Measure each page at low load and then on busy processors."""
    payments = replace(easypay(gateway).target, authorization=f"Bearer {new_key(gateway, 'payers', rate_limit=0)}")
    for load in ("low", "busy"):
        for page in pages:
            yield _measure(page, load, payments, generator, pace, progress)


def _measure(
    page: Page, load: str, payments: Target, generator: LoadGenerator, pace: Pace, progress: Callable[[str], None]
) -> ServedFigure:
    plain = page.target
    encoded = replace(plain, accept_encoding=ACCEPTED)
    pairs: list[tuple[float, float]] = []
    shares: list[float] = []
    for turn in range(pace.pairs):
        order = (encoded, plain) if turn % 2 else (plain, encoded)
        with _paying(payments, generator, 2 * pace.seconds + 2 * _SETTLE_S, is_on=load == "busy"):
            # Until the lag shows what the payments do to the loop.
            generator.run(plain, connections=_LIST_CONNECTIONS, seconds=_SETTLE_S)
            psutil.cpu_percent()
            took = {target.accept_encoding: _run(generator, target, pace.seconds).p50_ms for target in order}
            shares.append(psutil.cpu_percent() / 100)
        pairs.append((took[ACCEPTED], took[None]))
    ratio = paired_ratio(pairs)
    figure = ServedFigure(page.name, load, _middle(pairs, 0), _middle(pairs, 1), ratio, sum(shares) / len(shares))
    progress(f"{page.name}, {load} load: {figure.with_ms:.2f} ms with, {figure.without_ms:.2f} ms without, {ratio}")
    return figure


@contextmanager
def _paying(target: Target, generator: LoadGenerator, seconds: float, *, is_on: bool) -> Iterator[None]:
    """Make payments beside the block, which lasts less than so many seconds."""
    if not is_on:
        yield
        return
    loads: list[Load] = []
    paying = threading.Thread(
        target=lambda: loads.append(generator.run(target, connections=_PAYING_CONNECTIONS, seconds=seconds))
    )
    paying.start()
    try:
        yield
        if not paying.is_alive():
            raise BenchFailed("the payments ended before the pages were measured beside them")
    finally:
        paying.join(_JOIN_S)
    if not loads or loads[0].failures or not loads[0].requests:
        raise LoadFailed(f"payments beside the pages failed: {loads}")


def _run(generator: LoadGenerator, target: Target, seconds: float) -> Load:
    load = generator.run(target, connections=_LIST_CONNECTIONS, seconds=seconds)
    if load.failures or not load.requests:
        raise LoadFailed(f"{load.failures} of {load.requests} pages failed: {load.samples}")
    return load


def _middle(pairs: Sequence[tuple[float, float]], side: int) -> float:
    ordered = sorted(pair[side] for pair in pairs)
    return ordered[len(ordered) // 2]
