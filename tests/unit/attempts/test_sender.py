"""An attempt is sent within its deadline, and again only where that is safe."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from actors.runtime.clock import ManualClock
from serve_app.attempts.intent import Intent, Requester
from serve_app.attempts.sender import SENDS_MAX, Processors, send
from serve_app.domain.attempt import AttemptKind, AttemptState
from serve_app.domain.errors import ProcessorUnavailable
from serve_app.domain.ids import new_id
from serve_app.processors.guarded import Guarded
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    Lookup,
    Outcome,
    ProcessorRequest,
    Refusal,
    Unknown,
)
from tests.unit.domain.builders import attempt_on, new_payment


class Scripted:
    """Answers with what the test says, and lets time pass."""

    name = "simulator"
    can_refuse = True

    def __init__(self, clock: ManualClock, *answers: Outcome, takes_s: float = 0.1) -> None:
        self._clock = clock
        self._answers = list(answers)
        self._takes_s = takes_s
        self.repeats_max = 100
        self.requests: list[tuple[ProcessorRequest, float]] = []

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        self.requests.append((request, timeout_s))
        self._clock.advance(self._takes_s)
        return self._answers.pop(0)

    def may_repeat(self) -> bool:
        return len(self.requests) <= self.repeats_max

    async def lookup(self, request: ProcessorRequest, *, timeout_s: float) -> Lookup:
        raise AssertionError("a sender does not look up")

    async def refuse(self, request: ProcessorRequest, *, timeout_s: float) -> Refusal:
        raise AssertionError("a sender does not refuse")

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands."""
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def _intent() -> Intent:
    payment = new_payment()
    return Intent(payment, attempt_on(payment, AttemptKind.AUTHORIZE, 1000), Requester(new_id(), "req"))


async def _send(
    processor: Scripted, clock: ManualClock, *, deadline: float = 5.0
) -> tuple[AttemptState, str | None] | None:
    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    outcome = await send(processor, _intent(), deadline=deadline, clock=clock, sleep=sleep)
    return None if outcome is None else (outcome.state, outcome.code)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Approved("ch_1"), (AttemptState.SUCCEEDED, None)),
        (Declined("no_money"), (AttemptState.DECLINED, "no_money")),
        (Failed("broken", retryable=False), (AttemptState.FAILED, "broken")),
    ],
)
async def test_a_definite_answer_is_the_outcome(
    clock: ManualClock, answer: Outcome, expected: tuple[AttemptState, str | None]
) -> None:
    """Sent once."""
    processor = Scripted(clock, answer)
    assert await _send(processor, clock) == expected
    assert len(processor.requests) == 1


async def test_no_answer_is_no_outcome(clock: ManualClock) -> None:
    """The money may have moved: it is not sent again here."""
    processor = Scripted(clock, Unknown("timeout"))
    assert await _send(processor, clock) is None
    assert len(processor.requests) == 1


async def test_what_surely_did_nothing_is_sent_again_under_the_same_id(clock: ManualClock) -> None:
    """Until it works."""
    processor = Scripted(clock, Failed("busy", retryable=True), Approved("ch_1"))
    assert await _send(processor, clock) == (AttemptState.SUCCEEDED, None)
    assert len({request.attempt_id for request, _ in processor.requests}) == 1


async def test_it_is_not_sent_for_ever(clock: ManualClock) -> None:
    """After three failures that did nothing the attempt has failed."""
    processor = Scripted(clock, *[Failed("busy", retryable=True)] * SENDS_MAX)
    assert await _send(processor, clock) == (AttemptState.FAILED, "busy")


async def test_it_is_not_sent_again_where_it_may_not_be(clock: ManualClock) -> None:
    """The breaker has opened or the budget is used up: the attempt has failed."""
    processor = Scripted(clock, Failed("busy", retryable=True), Failed("busy", retryable=True))
    processor.repeats_max = 1
    assert await _send(processor, clock) == (AttemptState.FAILED, "busy")
    assert len(processor.requests) == 2


async def test_nothing_is_sent_after_the_deadline(clock: ManualClock) -> None:
    """Neither at first nor again: the resolver may have taken the attempt."""
    late = Scripted(clock)
    clock.advance(6)
    assert await _send(late, clock) is None
    assert late.requests == []
    slow = Scripted(clock, Failed("busy", retryable=True), takes_s=3)
    assert await _send(slow, clock, deadline=8) is None
    assert [timeout for _, timeout in slow.requests] == [2]


async def test_live_payments_need_a_live_processor(clock: ManualClock) -> None:
    """Without one nothing is stored."""
    processors = Processors(Guarded(Scripted(clock)), None)
    assert processors.for_mode(False).name == "simulator"
    with pytest.raises(ProcessorUnavailable):
        processors.for_mode(True)
    with pytest.raises(ProcessorUnavailable):
        processors.named("gone")
