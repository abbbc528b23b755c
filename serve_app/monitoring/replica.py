"""What a process that serves payments keeps anyway, told to the monitor with each report.

Nothing of it costs a request anything: it is read from counters and histograms that are there for other reasons.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from actors.cache.client import CacheClient
from actors.monitor.instruments import Instruments, Readings
from actors.pool.connections import ConnectionPool
from actors.runtime.histogram import Histogram
from actors.runtime.lag import LoopLagProbe
from serve_app.admission.admission import Admission
from serve_app.attempts.meter import Stage
from serve_app.attempts.sender import Processors
from serve_app.middleware.rate_limit import RateLimits
from serve_app.monitoring.machine import EVERY_S
from serve_app.monitoring.names import (
    CACHE_LOOKUPS,
    LOOP_LAG,
    PROCESSOR_CALLS,
    STAGE_DURATION,
    STATEMENT_DURATION,
    STATEMENT_OLDEST,
    UTILISATION,
)
from serve_app.processors.guarded import Judgement

_OUTCOMES = {Judgement.WORKS: "answered", Judgement.FAILS: "failed", Judgement.IS_SILENT: "silent"}
"""What counts for or against a processor; the rest says nothing of it."""


def measure(
    instruments: Instruments,
    *,
    loop_lag: LoopLagProbe,
    admission: Admission,
    queue_max: int,
    limits: RateLimits,
    pool: ConnectionPool,
    processors: Processors,
    cache: CacheClient | None,
) -> None:
    """Have the instruments of a process ask what it keeps, with each report."""
    instruments.source(LoopLagFigures(instruments.process, loop_lag))
    instruments.source(AdmissionFigures(admission, queue_max, limits))
    instruments.source(DatabaseFigures(pool))
    instruments.source(ProcessorFigures(processors))
    if cache is not None:
        instruments.source(CacheFigures(cache))


class LoopLagFigures:
    """A source of how late the process's event loop is, on average over about a second."""

    def __init__(self, process: str, probe: LoopLagProbe) -> None:
        self._label = process
        self._probe = probe

    def __call__(self, readings: Readings) -> None:
        """Tell it."""
        readings.gauge(LOOP_LAG, self._probe.read().average_s, process=self._label)


class AdmissionFigures:
    """A source of how full the queue before the gateway was at most since the last report, and of how much merchants
    use of their limits.
    """

    def __init__(self, admission: Admission, queue_max: int, limits: RateLimits) -> None:
        self._admission = admission
        self._queue_max = queue_max
        self._limits = limits

    def __call__(self, readings: Readings) -> None:
        """Tell both."""
        # Not what waits at this moment: a queue that is full again and again refuses, and is seldom seen full.
        readings.gauge(UTILISATION, min(1.0, self._admission.take_crest() / self._queue_max), resource="queue")
        readings.gauge(UTILISATION, self._limits.utilisation(), resource="rate")


class DatabaseFigures:
    """A source of how long callers waited for a connection, and for how long statements had one or have it now.

    The waits are those of the ones who had to wait. The statements are all of a process in one distribution: which one
    is slow is told by the pool manager, and by the plans of the query optimizer.
    """

    def __init__(self, pool: ConnectionPool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._due = 0.0

    def __call__(self, readings: Readings) -> None:
        """Tell what is now each time; what was, once a second, for to add all of it up takes 0.4 ms."""
        # What hangs is in no histogram yet.
        readings.gauge(STATEMENT_OLDEST, self._pool.longest_use_s)
        now = self._clock()
        if now < self._due:
            return
        self._due = now + EVERY_S
        usage = self._pool.usage
        readings.histogram(STAGE_DURATION, usage.waits, stage=Stage.POOL.value)
        of_all = Histogram()
        for histogram in usage.statements.values():
            of_all.add(histogram)
        readings.histogram(STATEMENT_DURATION, of_all)


class ProcessorFigures:
    """A source of what was seen of each processor: charges that it answered, failed, or left without an answer."""

    def __init__(self, processors: Processors) -> None:
        self._processors = processors

    def __call__(self, readings: Readings) -> None:
        """Tell it. The test tokens that are made to fail say nothing of a processor and are left out."""
        for processor in self._processors.all:
            for judgement, outcome in _OUTCOMES.items():
                total = processor.judgements[judgement]
                readings.counter(PROCESSOR_CALLS, total, processor=processor.name, outcome=outcome)


class CacheFigures:
    """A source of how many reads found what they wanted in a cache, near or at a shard, and how many had to load it."""

    def __init__(self, cache: CacheClient) -> None:
        self._cache = cache

    def __call__(self, readings: Readings) -> None:
        """Tell both, of all models together."""
        of_models = self._cache.counts.values()
        readings.counter(CACHE_LOOKUPS, sum(counts.hits for counts in of_models), outcome="hit")
        readings.counter(CACHE_LOOKUPS, sum(counts.loads - counts.refreshes for counts in of_models), outcome="miss")
