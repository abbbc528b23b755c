"""A breaker leaves alone what fails, and finds out when it is back."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.breaker import Breaker, BreakerPolicy, State

_POLICY = BreakerPolicy()
_IN_A_ROW = replace(_POLICY, failure_share=1.0)


def _breaker(policy: BreakerPolicy = _POLICY, seed: int = 0) -> Breaker:
    return Breaker(random.Random(seed), policy)


def _let_in(breaker: Breaker, now: float = 0.0) -> int:
    ticket = breaker.ask(now)
    assert ticket is not None
    return ticket


def _fail(breaker: Breaker, now: float = 0.0, *, timed_out: bool = False) -> None:
    breaker.failed(_let_in(breaker, now), now, timed_out=timed_out)


def _succeed(breaker: Breaker, now: float = 0.0) -> None:
    breaker.succeeded(_let_in(breaker, now), now)


def _opened(policy: BreakerPolicy = _POLICY, now: float = 0.0) -> Breaker:
    breaker = _breaker(policy)
    for _ in range(policy.failures_max):
        _fail(breaker, now)
    assert breaker.state is State.OPEN
    return breaker


def test_it_is_closed_at_first() -> None:
    """And lets everything through."""
    breaker = _breaker()
    assert all(breaker.ask(0.0) is not None for _ in range(100))
    assert breaker.state is State.CLOSED
    assert breaker.retry_after_s(0.0) == 0.0


def test_it_opens_with_the_last_of_the_failures_in_a_row() -> None:
    """Not before."""
    breaker = _breaker()
    for _ in range(_POLICY.failures_max - 1):
        _fail(breaker)
        assert breaker.state is State.CLOSED
    _fail(breaker)
    assert breaker.state is State.OPEN
    assert breaker.ask(0.0) is None


def test_a_success_starts_the_count_in_a_row_anew() -> None:
    """A server that answers some calls is used, where no share of failures is too large."""
    breaker = _breaker(_IN_A_ROW)
    for _ in range(50):
        for _ in range(_POLICY.failures_max - 1):
            _fail(breaker)
        _succeed(breaker)
    assert breaker.state is State.CLOSED


def test_it_opens_when_half_of_the_calls_fail() -> None:
    """Of enough calls: every other failure never makes a row."""
    breaker = _breaker()
    for call in range(_POLICY.calls_min - 1):
        (_fail if call % 2 else _succeed)(breaker)
        assert breaker.state is State.CLOSED
    _fail(breaker)
    assert breaker.state is State.OPEN


def test_what_is_long_ago_does_not_count() -> None:
    """Failures that are further apart than the window never add up to a share."""
    breaker = _breaker()
    for minute in range(100):
        _fail(breaker, minute * 60.0)
        _succeed(breaker, minute * 60.0)
    assert breaker.state is State.CLOSED
    assert breaker.window(99 * 60.0) == (2, 1)
    assert breaker.window(100 * 60.0) == (0, 0)


@pytest.mark.parametrize(("weight", "enough"), [(1, 5), (2, 3), (3, 2), (5, 1)])
def test_timeouts_weigh_more(weight: int, enough: int) -> None:
    """Each costs its caller the whole deadline."""
    breaker = _breaker(BreakerPolicy(failures_max=5, timeout_weight=weight))
    for _ in range(enough - 1):
        _fail(breaker, timed_out=True)
    before = breaker.state
    assert before is State.CLOSED
    _fail(breaker, timed_out=True)
    assert breaker.state is State.OPEN


def test_after_the_pause_one_call_goes_through() -> None:
    """The probe; the others are refused until its outcome is known."""
    breaker = _opened()
    pause_s = breaker.retry_after_s(0.0)
    assert breaker.ask(pause_s * 0.99) is None
    assert breaker.ask(pause_s) is not None
    assert breaker.state is State.HALF_OPEN
    assert breaker.ask(pause_s) is None
    assert breaker.retry_after_s(pause_s) == pytest.approx(_POLICY.probe_timeout_s)


def test_as_many_probes_as_are_needed_close_it() -> None:
    """One after the other; then all are let through, and the counts begin at nothing."""
    breaker = _opened(replace(_POLICY, successes_needed=3))
    for probe in range(3):
        ticket = _let_in(breaker, 1.0)
        assert breaker.ask(1.0) is None, f"beside probe {probe}"
        breaker.succeeded(ticket, 1.0)
    assert breaker.state is State.CLOSED
    assert breaker.window(1.0) == (0, 0)


def test_a_probe_that_fails_opens_it_again() -> None:
    """Whatever succeeded since it was open counts no more."""
    breaker = _opened(replace(_POLICY, successes_needed=2))
    _succeed(breaker, 1.0)
    _fail(breaker, 1.0)
    failed = breaker.state
    assert failed is State.OPEN
    _succeed(breaker, 3.0)
    assert breaker.state is State.HALF_OPEN


def test_a_lost_probe_is_replaced() -> None:
    """Its caller was cancelled and said nothing; what it says later concerns nobody."""
    breaker = _opened()
    lost = _let_in(breaker, 1.0)
    assert breaker.ask(1.0 + _POLICY.probe_timeout_s * 0.99) is None
    assert breaker.ask(1.0 + _POLICY.probe_timeout_s) is not None
    breaker.failed(lost, 2.1)
    assert breaker.state is State.HALF_OPEN


def test_a_probe_that_was_not_used_lets_another_through() -> None:
    """At once: it has said nothing."""
    breaker = _opened()
    breaker.unused(_let_in(breaker, 1.0), 1.0)
    assert breaker.ask(1.0) is not None


def test_late_results_change_nothing() -> None:
    """Of a hundred calls that are out together, the last find it open, and neither close nor prolong that; those that
    come after it has closed do not open it either."""
    breaker = _breaker()
    out = [_let_in(breaker) for _ in range(100)]
    for ticket in out[:5]:
        breaker.failed(ticket, 0.0)
    pause_s = breaker.retry_after_s(0.0)
    for ticket in out[5:50]:
        breaker.failed(ticket, pause_s * 0.9)
    breaker.succeeded(out[50], pause_s * 0.9)
    assert (breaker.state, breaker.retry_after_s(0.0)) == (State.OPEN, pause_s)
    _succeed(breaker, pause_s)
    for ticket in out[51:]:
        breaker.failed(ticket, pause_s)
    assert breaker.state is State.CLOSED


def test_what_is_sent_anyway_is_as_good_as_a_probe() -> None:
    """Work that was let in before takes the ticket of the moment: its success closes, its failure prolongs nothing."""
    breaker = _opened()
    pause_s = breaker.retry_after_s(0.0)
    breaker.failed(breaker.ticket, pause_s / 2)
    assert breaker.retry_after_s(0.0) == pause_s
    breaker.succeeded(breaker.ticket, pause_s / 2)
    assert breaker.state is State.CLOSED


@given(seed=st.integers())
def test_pauses_grow_to_their_bound_and_begin_small_again(seed: int) -> None:
    """Each between half and all of twice the one before; after a success the first is as short as ever."""
    breaker, now = _breaker(seed=seed), 0.0
    for _ in range(_POLICY.failures_max):
        _fail(breaker, now)
    for failed_probes in range(8):
        full_s = min(_POLICY.pause_max_s, _POLICY.pause_min_s * 2**failed_probes)
        pause_s = breaker.retry_after_s(now)
        assert full_s / 2 <= pause_s * (1 + 1e-9)
        assert pause_s <= full_s * (1 + 1e-9)
        now += pause_s + 1e-9
        _fail(breaker, now)
    now += _POLICY.pause_max_s
    _succeed(breaker, now)
    for _ in range(_POLICY.failures_max):
        _fail(breaker, now)
    assert breaker.retry_after_s(now) <= _POLICY.pause_min_s * (1 + 1e-9)


def test_breakers_of_many_processes_do_not_probe_together() -> None:
    """Their pauses differ."""
    pauses = set()
    for seed in range(20):
        breaker = _breaker(seed=seed)
        for _ in range(_POLICY.failures_max):
            _fail(breaker)
        pauses.add(breaker.retry_after_s(0.0))
    assert len(pauses) == 20


def test_what_others_found_out_is_adopted() -> None:
    """With what is left of their pause; the next one goes on doubling. It is no decision of its own."""
    breaker = _breaker()
    held = _let_in(breaker)
    breaker.adopt_open(0.4, 0.3, now=10.0)
    breaker.succeeded(held, 10.0)
    assert breaker.state is State.OPEN
    assert breaker.retry_after_s(10.0) == pytest.approx(0.3)
    assert breaker.decisions == 0
    _fail(breaker, 10.4)
    assert breaker.pause_s == pytest.approx(0.8)
    assert breaker.decisions == 1
    breaker.adopt_closed()
    assert breaker.ask(10.4) is not None


def test_forced_open_nothing_helps() -> None:
    """Until it is released: then it says what it was told to adopt."""
    breaker = _breaker()
    breaker.force(State.OPEN)
    assert breaker.ask(1e9) is None
    breaker.succeeded(breaker.ticket, 0.0)
    assert breaker.state is State.OPEN
    assert breaker.retry_after_s(0.0) > 0
    breaker.force(None)
    assert breaker.ask(0.0) is not None


def test_forced_closed_nothing_opens_it() -> None:
    """All are let through; calls and failures are counted for whoever looks."""
    breaker = _opened()
    breaker.force(State.CLOSED)
    for _ in range(100):
        _fail(breaker)
    assert breaker.state is State.CLOSED
    assert breaker.window(0.0)[1] >= 100


def test_it_tells_of_its_decisions() -> None:
    """Of each opening and closing by what it saw itself, and of nothing else."""
    told: list[State] = []
    breaker = Breaker(random.Random(0), _POLICY, lambda: told.append(breaker.state))
    for _ in range(_POLICY.failures_max):
        _fail(breaker)
    _succeed(breaker, 1.0)
    breaker.adopt_open(0.1, 0.1, 1.0)
    breaker.force(State.CLOSED)
    assert told == [State.OPEN, State.CLOSED]


@pytest.mark.parametrize("rate_per_s", [1.0, 20.0, 1000.0])
@pytest.mark.parametrize("times_out", [False, True])
def test_background_failures_never_open_it(rate_per_s: float, times_out: bool) -> None:
    """One call in a hundred fails, by chance, at one, twenty and a thousand calls a second: 1.2 million in all."""
    policy = replace(_POLICY, failures_max=10, timeout_weight=2)
    breaker, draw = _breaker(policy), random.Random(7)
    for call in range(200_000):
        now = call / rate_per_s
        if draw.random() < 0.01:
            _fail(breaker, now, timed_out=times_out)
        else:
            _succeed(breaker, now)
        assert breaker.state is State.CLOSED


@given(successes=st.integers(0, 100_000), rate_per_s=st.sampled_from([0.1, 5.0, 500.0]))
def test_total_failure_opens_it_whatever_was_before(successes: int, rate_per_s: float) -> None:
    """With the failures in a row that the policy allows, however many calls succeeded a moment ago."""
    breaker = _breaker()
    for call in range(min(successes, 300)):
        _succeed(breaker, call / rate_per_s)
    now = 300 / rate_per_s
    for _ in range(_POLICY.failures_max):
        _fail(breaker, now)
    assert breaker.state is State.OPEN
