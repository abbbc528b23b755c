"""What a process keeps anyway is told with each report, and nothing twice."""

from __future__ import annotations

import random
from typing import cast
from unittest.mock import create_autospec

from actors.cache.client import CacheClient
from actors.cache.counts import ModelMetrics
from actors.monitor.instruments import Instruments
from actors.monitor.series import series
from actors.pool.connections import ConnectionPool
from actors.pool.usage import Usage
from actors.runtime.breaker import Breaker
from actors.runtime.clock import ManualClock
from serve_app.admission.admission import Admission
from serve_app.attempts.sender import Processors
from serve_app.domain.attempt import AttemptKind
from serve_app.middleware.rate_limit import RateLimits
from serve_app.monitoring.names import CACHE_LOOKUPS, PROCESSOR_CALLS, STAGE_DURATION, STATEMENT_DURATION, UTILISATION
from serve_app.monitoring.replica import AdmissionFigures, CacheFigures, DatabaseFigures, ProcessorFigures
from serve_app.processors.guarded import Guarded, processor_policy
from serve_app.processors.protocol import ProcessorRequest
from serve_app.processors.simulator import Simulator


class _Admission:
    def take_crest(self) -> int:
        return 250


class _Limits:
    def utilisation(self) -> float:
        return 0.75


class _Cache:
    counts: dict[str, ModelMetrics]


def test_statements_and_waits_are_told_as_they_come() -> None:
    """Each once: what was told before is not in the next report. All operations are one distribution."""
    instruments, usage = Instruments("gateway-1"), Usage()
    pool = create_autospec(ConnectionPool, instance=True, usage=usage, longest_use_s=0.0)
    clock = ManualClock()
    instruments.source(DatabaseFigures(pool, clock.monotonic))
    usage.used("conclude", 0.5)
    usage.used("begin_payments", 0.25)
    usage.waited(0.125)
    first = instruments.take().histograms
    assert (first[series(STATEMENT_DURATION)].count, first[series(STATEMENT_DURATION)].total) == (2, 0.75)
    assert first[series(STAGE_DURATION, stage="pool")].total == 0.125
    assert instruments.take().histograms == {}
    usage.used("conclude", 2.0)
    assert instruments.take().histograms == {}
    clock.advance(1.0)
    again = instruments.take().histograms
    assert {each.name: found.total for each, found in again.items()} == {STATEMENT_DURATION: 2.0}


def test_the_queue_and_the_limits_are_resources() -> None:
    """As parts of what there is."""
    instruments = Instruments("gateway-1")
    instruments.source(AdmissionFigures(cast(Admission, _Admission()), 1000, cast(RateLimits, _Limits())))
    assert instruments.take().gauges == {
        series(UTILISATION, resource="queue"): 0.25,
        series(UTILISATION, resource="rate"): 0.75,
    }


def test_lookups_are_hits_or_misses() -> None:
    """A refresh ahead of time is neither: no read waited for it."""
    instruments, cache = Instruments("gateway-1"), _Cache()
    cache.counts = {
        "payment": ModelMetrics(near_hits=5, shard_hits=2, loads=4, refreshes=1),
        "key": ModelMetrics(joined=1),
    }
    instruments.source(CacheFigures(cast(CacheClient, cache)))
    assert instruments.take().counters == {
        series(CACHE_LOOKUPS, outcome="hit"): 8,
        series(CACHE_LOOKUPS, outcome="miss"): 3,
    }


async def test_what_is_seen_of_a_processor_is_told_but_for_test_tokens() -> None:
    """A token that is made to fail says nothing of it."""
    failing = Simulator("acquirer", failure_rate=1.0, seed=1)
    guarded = Guarded(failing, Breaker(random.Random(1), processor_policy()))
    instruments = Instruments("gateway-1")
    instruments.source(ProcessorFigures(Processors(guarded, None)))
    for number in range(3):
        passage = guarded.admit(counts=number > 0)
        request = ProcessorRequest(f"att_{number}", AttemptKind.AUTHORIZE, 100, "EUR", "tok_visa", True, None)
        await passage.perform(request, timeout_s=5.0)
    told = {dict(each.labels)["outcome"]: count for each, count in instruments.take().counters.items()}
    assert sum(told.values()) == 2
    assert told.get("answered", 0) < 2
    assert {each.name for each in instruments._counters} == {PROCESSOR_CALLS}
