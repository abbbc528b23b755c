"""A gate under any order of arrivals, ends and waits: nothing is lost, no bound is passed, nobody waits beside room."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serve_app.admission.gate import PATIENCE_MAX_S, Entry, Gate, Reason, Refusal, State
from serve_app.admission.resource import Resource
from serve_app.admission.vegas import FixedLimit
from serve_app.admission.work import Work

_WAITING_MAX = 5
_GATEWAY, _PROCESSOR = 3, 2


class GateMachine(RuleBasedStateMachine):
    """Follows every entry from its arrival to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.gateway = Resource("gateway", FixedLimit(_GATEWAY), expected_s=0.01)
        self.processor = Resource("processor", FixedLimit(_PROCESSOR), expected_s=0.2)
        self.gate = Gate(self.gateway, {"p": self.processor}, waiting_max=_WAITING_MAX, draw=Random(1))
        self.now = 0.0
        self.entries: list[Entry] = []
        self.refused = 0

    @rule(
        merchant=st.sampled_from("abc"),
        work=st.sampled_from(Work),
        live=st.booleans(),
        processor=st.sampled_from(["p", None]),
        left_s=st.sampled_from([0.001, 1.0, 30.0]),
    )
    def arrive(self, merchant: str, work: Work, live: bool, processor: str | None, left_s: float) -> None:
        """A refusal says when to come again; who makes room is less important than who comes."""
        priority = work.priority(live=live)
        outcome, evicted = self.gate.arrive(merchant, "k", priority, processor, self.now, left_s)
        if evicted is not None:
            assert evicted.priority > priority
            assert self.gate.give_up(evicted, self.now, Reason.OUTRANKED).retry_in_s >= 0
            self.entries.remove(evicted)
        if isinstance(outcome, Refusal):
            assert 0 <= outcome.retry_in_s <= 30
            self.refused += 1
            return
        assert outcome.state in (State.WAITING, State.WORKING)
        if outcome.state is State.WAITING:
            assert outcome.give_up_at <= self.now + min(left_s, PATIENCE_MAX_S)
        self.entries.append(outcome)

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    def _in(self, state: State) -> list[Entry]:
        return [entry for entry in self.entries if entry.state is state]

    @precondition(lambda self: any(entry.processor for entry in self._in(State.WORKING)))
    @rule(data=st.data())
    def call_processor(self, data: st.DataObject) -> None:
        """The gateway's place goes to others."""
        entry = data.draw(st.sampled_from([entry for entry in self._in(State.WORKING) if entry.processor]))
        assert all(started.state is State.WORKING for started in self.gate.away(entry, self.now))

    @precondition(lambda self: self._in(State.AWAY))
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """At once, whatever the limit."""
        entry = data.draw(st.sampled_from(self._in(State.AWAY)))
        assert all(started.state is State.WORKING for started in self.gate.back(entry, self.now))
        assert entry.state is State.FINISHING

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """From any state, and once more without effect."""
        entry = data.draw(st.sampled_from(self.entries))
        self.gate.leave(entry, self.now)
        assert self.gate.leave(entry, self.now) == ()
        assert entry.state is State.GONE
        self.entries.remove(entry)

    @precondition(lambda self: self._in(State.WAITING))
    @rule(data=st.data())
    def lose_patience(self, data: st.DataObject) -> None:
        """A waiting one is refused."""
        entry = data.draw(st.sampled_from(self._in(State.WAITING)))
        assert self.gate.give_up(entry, self.now, Reason.LATE).reason is Reason.LATE
        self.entries.remove(entry)

    @invariant()
    def places_are_those_of_who_holds_them(self) -> None:
        """None is lost and none is made."""
        holders = [entry for entry in self.entries if entry.state in (State.WORKING, State.AWAY) and entry.processor]
        assert self.processor.in_flight == len(holders) <= _PROCESSOR
        assert self.gateway.in_flight == len(self._in(State.WORKING)) + len(self._in(State.FINISHING))
        assert self.gate.waiting == len(self._in(State.WAITING)) <= _WAITING_MAX

    @rule()
    def look(self) -> None:
        """Whoever may start by now does."""
        start_at = self.gate.next_start_at()
        started = self.gate.fill(self.now)
        assert bool(started) == (start_at is not None and start_at <= self.now)

    @invariant()
    def nobody_waits_beside_room(self) -> None:
        """Whoever waits waits for a place that is taken, or for a moment that is told."""
        for entry in self._in(State.WAITING):
            waits_for_place = not self.gateway.has_room or (entry.processor and not self.processor.has_room)
            assert waits_for_place or self.gate.next_start_at() is not None


TestGate = GateMachine.TestCase
