"""Processes decide, tell and hear in any order, boards come and go: afterwards all agree."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.breaker.board import BreakerBoard
from actors.breaker.local import ProcessBreakers
from actors.breaker.messages import SyncAnswer
from actors.runtime.breaker import BreakerPolicy, State

_NAME = "processor:simulator"
_POLICY = BreakerPolicy(failures_max=2)
_WALL = datetime(2026, 1, 1, tzinfo=UTC)
_PROCESSES = 3
_PROCESS = st.integers(0, _PROCESSES - 1)


class AnyOrder(RuleBasedStateMachine):
    """Answers may come late: a process has at most one call out, as the client has."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lives = 0
        self.board = BreakerBoard("life 0")
        self.processes = [ProcessBreakers(f"process {number}", random.Random(number)) for number in range(_PROCESSES)]
        self.breakers = [process.add(_NAME, _POLICY) for process in self.processes]
        self.out: list[tuple[SyncAnswer, dict[str, int]] | None] = [None] * _PROCESSES
        self._round()

    @rule(seconds=st.floats(0.0, 1.5, width=16))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(number=_PROCESS, works=st.booleans())
    def call(self, number: int, works: bool) -> None:
        """A process calls, if it may."""
        breaker = self.breakers[number]
        ticket = breaker.ask(self.now)
        if ticket is not None:
            (breaker.succeeded if works else breaker.failed)(ticket, self.now)

    @rule(number=_PROCESS)
    def send(self, number: int) -> None:
        """A process tells the board; the answer is on its way, or the one before was lost."""
        sync, sent = self.processes[number].sync(self.now)
        answer, _ = self.board.sync(sync, self.now, _WALL)
        self.out[number] = answer, dict(sent)

    @rule(number=_PROCESS)
    def hear(self, number: int) -> None:
        """The answer arrives."""
        out = self.out[number]
        if out is not None:
            self.processes[number].take(*out, self.now)
            self.out[number] = None

    @rule(state=st.sampled_from([State.OPEN, State.CLOSED, None]))
    def force(self, state: State | None) -> None:
        """An operator takes hold, or lets go."""
        self.board.force(_NAME, state, "key_1", self.now, _WALL)

    @rule()
    def restart_board(self) -> None:
        """Another board, which knows nothing."""
        self.lives += 1
        self.board = BreakerBoard(f"life {self.lives}")
        self.out = [None] * _PROCESSES

    def _round(self) -> None:
        for number in range(_PROCESSES):
            self.send(number)
            self.hear(number)

    @invariant()
    def after_two_rounds_all_agree(self) -> None:
        """Nobody decides anything meanwhile: then each has what the board has, and nothing is left to tell."""
        self._round()
        self._round()
        (view,) = self.board.views(self.now, _WALL)
        for breaker in self.breakers:
            assert breaker.is_open == (view.state is not State.CLOSED) or breaker.forced is not None
            assert (breaker.forced is None) == (view.forced is None)
            assert breaker.state is State.CLOSED or view.state is not State.CLOSED
        if view.forced is not None:
            assert {breaker.state for breaker in self.breakers} == {view.forced.state}
        assert all(not report.is_new for process in self.processes for report in process.sync(self.now)[0].reports)


class AnyOrderWithoutHelp(AnyOrder):
    """The same, but only the last look makes rounds, so that late answers meet what happened in between."""

    @invariant()
    def after_two_rounds_all_agree(self) -> None:
        """Not now."""

    def teardown(self) -> None:
        """Look once, at the end."""
        super().after_two_rounds_all_agree()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, deadline=None)
TestAnyOrderWithoutHelp = AnyOrderWithoutHelp.TestCase
TestAnyOrderWithoutHelp.settings = settings(max_examples=200, deadline=None)
