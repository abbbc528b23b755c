"""What N processes take together of one limit: never more than it, and nearly all of it where more is wanted."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.cache.limits.ledger import EXACT_MAX
from actors.cache.limits.messages import LEASE_S, WINDOW_S
from tests.property.limits.fleet import CALL_TIMEOUT_S, Fleet

_START_S = 2 * WINDOW_S
_QUICK = settings(max_examples=40, deadline=None)
# Tens of thousands of requests in each example.
_HEAVY = settings(max_examples=5, deadline=None)


def _offer_too_much(fleet: Fleet, draw: random.Random, processes: int, limit: int, factor: float, end_s: float) -> None:
    """Offer twice the limit evenly for a window, then a multiple of it at random.

    What frees permits is the pace at which they were taken a window before: were that as high as what is offered now,
    an exact log would leave permits unused too.
    """
    for number in range(2 * limit):
        fleet.arrive(_START_S + number * WINDOW_S / (2 * limit), number % processes)
    _offer(fleet, draw, processes, factor * limit / WINDOW_S, _START_S + WINDOW_S, end_s)


def _offer(fleet: Fleet, draw: random.Random, processes: int, rate: float, start_s: float, end_s: float) -> None:
    """Have requests arrive at random, as many a second."""
    when = start_s
    while (when := when + draw.expovariate(rate)) < end_s:
        fleet.arrive(when, draw.randrange(processes))


@_QUICK
@given(
    limit=st.integers(1, 1500),
    processes=st.integers(1, 6),
    factors=st.lists(st.floats(0.05, 12), min_size=1, max_size=5),
    is_lopsided=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_never_more_than_the_limit_in_any_window(
    limit: int, processes: int, factors: list[float], is_lopsided: bool, seed: int
) -> None:
    """Whatever the load does, and wherever it goes, while the shard is there: the bound is 0."""
    fleet, draw = Fleet(limit, processes, seed), random.Random(seed)
    for part, factor in enumerate(factors):
        start_s = _START_S + part * 31
        busy = 1 if is_lopsided and part % 2 else processes
        _offer(fleet, draw, busy, factor * limit / WINDOW_S, start_s, start_s + 31)
    outcome = fleet.run(_START_S + 31 * len(factors) + 2)
    assert outcome.most_in(WINDOW_S) <= limit


@_HEAVY
@given(
    limit=st.integers(EXACT_MAX + 1, 800),
    processes=st.integers(1, 6),
    factor=st.floats(3, 8),
    seed=st.integers(0, 2**32),
)
def test_nearly_all_of_a_large_limit_is_had(limit: int, processes: int, factor: float, seed: int) -> None:
    """At least 0.95 of it in any window in which more is offered to every process."""
    fleet, draw = Fleet(limit, processes, seed), random.Random(seed)
    end_s = _START_S + 3 * WINDOW_S
    _offer_too_much(fleet, draw, processes, limit, factor, end_s)
    outcome = fleet.run(end_s)
    assert outcome.most_in(WINDOW_S) <= limit
    assert outcome.least_in(WINDOW_S, _START_S, end_s) >= 0.95 * limit


@_HEAVY
@given(limit=st.integers(1, EXACT_MAX), processes=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_all_of_a_small_limit_is_had(limit: int, processes: int, seed: int) -> None:
    """Every permit, in any window and half a second more, whatever processes the requests come to."""
    fleet, draw = Fleet(limit, processes, seed), random.Random(seed)
    end_s = _START_S + 3 * WINDOW_S
    _offer_too_much(fleet, draw, processes, limit, 3 + 2400 / limit, end_s)
    outcome = fleet.run(end_s)
    assert outcome.most_in(WINDOW_S) <= limit
    assert outcome.least_in(WINDOW_S + 0.5, _START_S, end_s) >= limit


@_QUICK
@given(
    limit=st.integers(1, EXACT_MAX), processes=st.integers(1, 6), factor=st.floats(0.2, 4), seed=st.integers(0, 2**32)
)
def test_a_small_limit_decides_as_an_exact_log(limit: int, processes: int, factor: float, seed: int) -> None:
    """A request is refused only where the limit was taken within a window, and the time that refusals last, before."""
    fleet, draw = Fleet(limit, processes, seed), random.Random(seed)
    end_s = _START_S + 2.5 * WINDOW_S
    _offer(fleet, draw, processes, factor * limit / WINDOW_S, _START_S, end_s)
    outcome = fleet.run(end_s)
    for at in outcome.refused:
        assert sum(at - WINDOW_S - 0.3 <= taken <= at + 0.3 for taken in outcome.taken) >= limit


@_QUICK
@given(
    limit=st.integers(1, 1500),
    processes=st.integers(1, 5),
    factor=st.floats(0.1, 8),
    dies_s=st.floats(0, 80),
    away_s=st.floats(0, 90),
    is_lopsided=st.booleans(),
    losses=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    seed=st.integers(0, 2**32),
)
def test_a_shard_that_is_lost_opens_and_shuts_nothing(
    limit: int,
    processes: int,
    factor: float,
    dies_s: float,
    away_s: float,
    is_lopsided: bool,
    losses: float,
    seed: int,
) -> None:
    """No window has more than the limit and the others' static shares, and each process has its share in any."""
    fleet, draw = Fleet(limit, processes, seed, losses=losses), random.Random(seed)
    end_s = _START_S + 240
    rate = factor * limit / WINDOW_S
    _offer(fleet, draw, 1 if is_lopsided else processes, rate, _START_S, _START_S + dies_s + 1)
    _offer(fleet, draw, processes, rate, _START_S + dies_s + 1, end_s)
    fleet.at(_START_S + dies_s, fleet.lose_shard)
    fleet.at(_START_S + dies_s + away_s, fleet.start_shard)
    outcome = fleet.run(end_s)
    share = max(1, limit // processes)
    assert outcome.most_in(WINDOW_S) <= limit + (processes - 1) * share


@_HEAVY
@given(
    limit=st.integers(EXACT_MAX, 700),
    processes=st.integers(1, 5),
    factor=st.floats(2.5, 4),
    dies_s=st.floats(70, 100),
    away_s=st.floats(0, 40),
    seed=st.integers(0, 2**32),
)
def test_an_even_load_does_not_notice_a_lost_shard(
    limit: int, processes: int, factor: float, dies_s: float, away_s: float, seed: int
) -> None:
    """Where each process has about its share of the load, no window has much more than the limit, and 0.8 of it are
    had right through the loss, the static time and the opening."""
    fleet, draw = Fleet(limit, processes, seed), random.Random(seed)
    end_s = _START_S + 300
    _offer_too_much(fleet, draw, processes, limit, factor, end_s)
    fleet.at(_START_S + dies_s, fleet.lose_shard)
    fleet.at(_START_S + dies_s + away_s, fleet.start_shard)
    outcome = fleet.run(end_s)
    assert outcome.most_in(WINDOW_S) <= 1.25 * limit
    assert outcome.least_in(WINDOW_S, _START_S, end_s) >= 0.8 * limit
    assert set(outcome.takers) == set(range(processes))


def test_a_restarted_shard_grants_nothing_for_a_window_and_a_lease() -> None:
    """What its processes hold of its former life may be spent for a lease, and counts for a window after that."""
    limit, processes = 1200, 3
    fleet, draw = Fleet(limit, processes, seed=1), random.Random(1)
    # One process takes the whole limit, then the shard is born again, and all want more.
    _offer(fleet, draw, 1, 400, _START_S, _START_S + 6)
    fleet.at(_START_S + 6, fleet.start_shard)
    static_end_s = _START_S + 6 + WINDOW_S + LEASE_S
    _offer(fleet, draw, processes, 400, _START_S + 7, static_end_s + 20)
    outcome = fleet.run(static_end_s + 20)
    share = limit // processes
    until = static_end_s - CALL_TIMEOUT_S
    for process in range(1, processes):
        taken = [at for at, taker in zip(outcome.taken, outcome.takers, strict=True) if taker == process and at < until]
        assert share <= len(taken) <= 2 * share  # One share, and again after 60 s.
    assert outcome.most_in(WINDOW_S) == limit + (processes - 1) * share


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_dies_takes_only_what_it_held(seed: int) -> None:
    """Its permits count as spent for as long as they could have been; the others have all the rest."""
    limit, processes = 1200, 3
    fleet, draw = Fleet(limit, processes, seed), random.Random(seed)
    _offer(fleet, draw, processes, 60, _START_S, _START_S + 10)
    fleet.at(_START_S + 10, lambda: fleet.cut_off(0))
    when = _START_S + 10
    while (when := when + draw.expovariate(60)) < _START_S + 180:
        fleet.arrive(when, 1 + draw.randrange(processes - 1))
    outcome = fleet.run(_START_S + 180)
    assert outcome.most_in(WINDOW_S) <= limit
    assert outcome.least_in(WINDOW_S, _START_S, _START_S + 180) >= 0.9 * limit


def test_a_busy_key_is_asked_for_seldom() -> None:
    """The default limit, nearly used up by two processes: forty requests for each question."""
    fleet, draw = Fleet(6000, 2, seed=5), random.Random(5)
    _offer(fleet, draw, 2, 80, _START_S, _START_S + 180)
    outcome = fleet.run(_START_S + 180)
    assert not outcome.refused
    assert len(outcome.taken) / outcome.asks > 40


def test_an_idle_process_gives_back_what_it_holds() -> None:
    """One that was busy and is not any more: the other has all of the limit."""
    limit = 1200
    fleet, draw = Fleet(limit, 2, seed=3), random.Random(3)
    for part in range(200):
        fleet.arrive(_START_S + part / 100, 0)
    when = _START_S + 2 + LEASE_S
    while (when := when + draw.expovariate(100)) < _START_S + 58:
        fleet.arrive(when, 1)
    outcome = fleet.run(_START_S + 59)
    assert len(outcome.taken) == limit
