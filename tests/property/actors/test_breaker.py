"""Calls begin and end in any order, others tell and operators force: what a breaker promises holds throughout."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.runtime.breaker import Breaker, BreakerPolicy, State

_POLICY = BreakerPolicy(failures_max=4, timeout_weight=2, calls_min=8, probe_timeout_s=1.5, successes_needed=2)


@dataclass
class Call:
    """A call that is out, and the number of the change of state after which it was let through."""

    ticket: int
    after: int


class AnyUse(RuleBasedStateMachine):
    """A model that knows when the state changed last, and what may change it."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(random.Random(0), _POLICY)
        self.now = 0.0
        self.out: list[Call] = []
        self.changes = 0
        self.in_a_row = 0
        self.opened_at = 0.0
        self.probe_at: float | None = None
        self.probes_well = 0

    def _watched(self, before: State) -> None:
        after = self.breaker.state
        if after is not before:
            self.changes += 1
            self.in_a_row = 0

    @rule(seconds=st.floats(0.0, 2.0, width=16))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def begin(self) -> None:
        """A call is let through, or not, as the state demands."""
        before = self.breaker.state
        ticket = self.breaker.ask(self.now)
        if self.breaker.forced is not None or before is State.CLOSED:
            assert (ticket is not None) == (before is State.CLOSED)
        elif before is State.OPEN:
            if self.now >= self.opened_at + _POLICY.pause_max_s:
                assert ticket is not None
        elif self.probe_at is not None:
            assert (ticket is not None) == (self.now >= self.probe_at + _POLICY.probe_timeout_s)
        else:
            assert ticket is not None
        if ticket is None:
            return
        if before is not State.CLOSED:
            assert self.breaker.state is State.HALF_OPEN
            self.probe_at = self.now
            # Whoever was the probe before is one no longer.
            self.changes += 1
            if before is State.OPEN:
                self.probes_well = 0
        self.out.append(Call(ticket, self.changes))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        """An answer comes: of the probe, it counts; of anybody who was let through before the last change, it is
        nothing."""
        call = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before, decisions = self.breaker.state, self.breaker.decisions
        self.breaker.succeeded(call.ticket, self.now)
        if call.after < self.changes or self.breaker.forced is not None:
            assert (self.breaker.state, self.breaker.decisions) == (before, decisions)
        elif before is State.CLOSED:
            self.in_a_row = 0
        else:
            self.probes_well += 1
            self.probe_at = None
            self.changes += 1
            closed = self.probes_well == _POLICY.successes_needed
            assert self.breaker.state is (State.CLOSED if closed else State.HALF_OPEN)
            self.in_a_row = 0

    @precondition(lambda self: self.out)
    @rule(data=st.data(), timed_out=st.booleans())
    def fail(self, data: st.DataObject, timed_out: bool) -> None:
        """None comes."""
        call = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before, decisions = self.breaker.state, self.breaker.decisions
        self.breaker.failed(call.ticket, self.now, timed_out=timed_out)
        if call.after < self.changes or self.breaker.forced is not None:
            assert (self.breaker.state, self.breaker.decisions) == (before, decisions)
            return
        self.in_a_row += _POLICY.timeout_weight if timed_out else 1
        if before is not State.CLOSED or self.in_a_row >= _POLICY.failures_max:
            assert self.breaker.state is State.OPEN
        if self.breaker.state is State.OPEN:
            assert self.breaker.decisions == decisions + 1
            self._opens()
        self._watched(before)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        """A caller is cancelled and reports nothing."""
        self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))

    @rule(remaining_s=st.floats(0.0, 3.0, width=16))
    def hear_that_it_is_open(self, remaining_s: float) -> None:
        """Another process found out."""
        decisions = self.breaker.decisions
        self.breaker.adopt_open(0.5, remaining_s, self.now)
        assert self.breaker.decisions == decisions
        self.changes += 1
        self._opens()

    @rule()
    def hear_that_it_is_closed(self) -> None:
        """Another process found out."""
        self.breaker.adopt_closed()
        self.changes += 1
        self.in_a_row = 0
        self.probe_at = None

    @rule(forced=st.sampled_from([State.OPEN, State.CLOSED, None, None]))
    def force(self, forced: State | None) -> None:
        """An operator holds it, and lets it go as closed, the way the board does."""
        self.breaker.force(forced)
        self.breaker.adopt_closed()
        self.changes += 1
        self.in_a_row = 0
        self.probe_at = None

    def _opens(self) -> None:
        self.opened_at = self.now
        self.probe_at = None
        self.probes_well = 0

    @invariant()
    def the_wait_is_bounded(self) -> None:
        """Nobody is told to come back later than the longest pause or probe."""
        assert 0.0 <= self.breaker.retry_after_s(self.now) <= max(_POLICY.pause_max_s, _POLICY.probe_timeout_s) + 1e-9

    @invariant()
    def what_is_forced_holds(self) -> None:
        """Whatever is reported."""
        assert self.breaker.forced in (None, self.breaker.state)


TestAnyUse = AnyUse.TestCase
TestAnyUse.settings = settings(max_examples=200, deadline=None)
