"""A breaker leaves a failing server alone, and finds out when it is back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.cache.level2.breaker import (
    FAILURES_MAX,
    PAUSE_MAX_S,
    PAUSE_MIN_S,
    PROBE_TIMEOUT_S,
    TIMEOUTS_MAX,
    Breaker,
    State,
)


def _breaker(seed: int = 0, **options: float) -> Breaker:
    return Breaker(random.Random(seed), **options)  # type: ignore[arg-type]


def _opened(now: float = 0.0) -> Breaker:
    breaker = _breaker()
    for _ in range(FAILURES_MAX):
        breaker.failed(now)
    return breaker


def test_it_is_closed_at_first() -> None:
    """And lets everything through."""
    breaker = _breaker()
    assert all(breaker.allows(0.0) for _ in range(100))
    assert breaker.state is State.CLOSED
    assert breaker.retry_after_s(0.0) == 0.0


def test_it_opens_with_the_last_of_the_failures_in_a_row() -> None:
    """Not before."""
    breaker = _breaker()
    for _ in range(FAILURES_MAX - 1):
        breaker.failed(0.0)
        assert breaker.state is State.CLOSED
    breaker.failed(0.0)
    assert breaker.state is State.OPEN
    assert not breaker.allows(0.0)


def test_a_success_starts_the_count_anew() -> None:
    """A server that answers some calls is used."""
    breaker = _breaker()
    for _ in range(50):
        for _ in range(FAILURES_MAX - 1):
            breaker.failed(0.0)
        breaker.succeeded(0.0)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("failures_max", [1, 2, 3, 5, 6])
def test_few_timeouts_are_enough(failures_max: int) -> None:
    """Each costs its caller the whole deadline."""
    breaker = _breaker(failures_max=failures_max)
    for _ in range(TIMEOUTS_MAX):
        breaker.failed(0.0, timed_out=True)
    assert breaker.state is State.OPEN


def test_after_the_pause_one_call_goes_through() -> None:
    """The probe; the others are refused until its outcome is known."""
    breaker = _opened()
    assert breaker.allows(PAUSE_MIN_S)
    assert breaker.state is State.HALF_OPEN
    assert not breaker.allows(PAUSE_MIN_S)
    assert breaker.retry_after_s(PAUSE_MIN_S) == PROBE_TIMEOUT_S


def test_a_probe_that_succeeds_closes_it() -> None:
    """For everybody."""
    breaker = _opened()
    breaker.allows(PAUSE_MIN_S)
    breaker.succeeded(PAUSE_MIN_S)
    assert breaker.state is State.CLOSED
    assert breaker.allows(PAUSE_MIN_S)


def test_a_lost_probe_is_replaced() -> None:
    """Its caller was cancelled and said nothing."""
    breaker = _opened()
    assert breaker.allows(PAUSE_MIN_S)
    assert not breaker.allows(PAUSE_MIN_S + PROBE_TIMEOUT_S * 0.99)
    assert breaker.allows(PAUSE_MIN_S + PROBE_TIMEOUT_S)


def test_failures_of_earlier_calls_do_not_prolong_the_pause() -> None:
    """Of a hundred calls that are out together, the last ninety find it open."""
    breaker = _opened()
    pause_s = breaker.retry_after_s(0.0)
    for _ in range(90):
        breaker.failed(pause_s * 0.9)
    assert breaker.retry_after_s(0.0) == pause_s


@given(seed=st.integers())
def test_pauses_grow_to_their_bound_and_begin_small_again(seed: int) -> None:
    """Each between half and all of twice the one before; after a success the first is as short as ever."""
    breaker, now = _breaker(seed), 0.0
    for _ in range(FAILURES_MAX):
        breaker.failed(now)
    for failed_probes in range(8):
        full_s = min(PAUSE_MAX_S, PAUSE_MIN_S * 2**failed_probes)
        pause_s = breaker.retry_after_s(now)
        assert full_s / 2 <= pause_s * (1 + 1e-9)
        assert pause_s <= full_s * (1 + 1e-9)
        now += pause_s
        assert breaker.allows(now)
        breaker.failed(now)
    breaker.succeeded(now)
    for _ in range(FAILURES_MAX):
        breaker.failed(now)
    assert breaker.retry_after_s(now) <= PAUSE_MIN_S * (1 + 1e-9)


def test_breakers_of_many_processes_do_not_probe_together() -> None:
    """Their pauses differ."""
    pauses = set()
    for seed in range(20):
        breaker = _breaker(seed)
        for _ in range(FAILURES_MAX):
            breaker.failed(0.0)
        pauses.add(breaker.retry_after_s(0.0))
    assert len(pauses) == 20


class AnyUse(RuleBasedStateMachine):
    """Calls begin and end in any order, at any time; the promises of the class hold throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = _breaker()
        self.now = 0.0
        self.out = 0
        self.in_a_row = 0
        self.opened_at: float | None = None
        self.probe_at: float | None = None

    @rule(seconds=st.floats(0.0, 2.0, width=16))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def begin(self) -> None:
        """A call is let through, or not, as the state demands."""
        before = self.breaker.state
        allowed = self.breaker.allows(self.now)
        if before is State.CLOSED:
            assert allowed
        elif before is State.OPEN:
            assert self.opened_at is not None
            if self.now < self.opened_at + PAUSE_MIN_S / 2:
                assert not allowed
            if self.now >= self.opened_at + PAUSE_MAX_S:
                assert allowed
        else:
            assert self.probe_at is not None
            assert allowed == (self.now >= self.probe_at + PROBE_TIMEOUT_S)
        if allowed:
            self.out += 1
            if before is not State.CLOSED:
                self.probe_at = self.now

    @precondition(lambda self: self.out)
    @rule()
    def succeed(self) -> None:
        """An answer comes: whatever the state was, it is closed."""
        self.out -= 1
        self.breaker.succeeded(self.now)
        self.in_a_row = 0
        assert self.breaker.state is State.CLOSED

    @precondition(lambda self: self.out)
    @rule(timed_out=st.booleans())
    def fail(self, timed_out: bool) -> None:
        """None comes."""
        self.out -= 1
        before = self.breaker.state
        self.breaker.failed(self.now, timed_out=timed_out)
        self.in_a_row += 1
        if before is not State.OPEN and self.breaker.state is State.OPEN:
            self.opened_at = self.now
        if before is State.HALF_OPEN or self.in_a_row >= FAILURES_MAX:
            assert self.breaker.state is State.OPEN

    @precondition(lambda self: self.out)
    @rule()
    def vanish(self) -> None:
        """A caller is cancelled and reports nothing."""
        self.out -= 1

    @invariant()
    def the_wait_is_bounded(self) -> None:
        """Nobody is told to come back later than the longest pause or probe."""
        assert 0.0 <= self.breaker.retry_after_s(self.now) <= max(PAUSE_MAX_S, PROBE_TIMEOUT_S) + 1e-9


TestAnyUse = AnyUse.TestCase
TestAnyUse.settings = settings(max_examples=300, deadline=None)
