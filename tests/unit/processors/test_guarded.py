"""A processor behind its breaker: who may begin, what counts, and what is repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from actors.runtime.breaker import Breaker, State
from actors.runtime.clock import ManualClock
from actors.runtime.retry_budget import RetryBudget
from serve_app.domain.errors import ProcessorUnavailable
from serve_app.processors.guarded import Guarded, Judgement, judge, processor_policy
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    Lookup,
    LookupFailed,
    NotFound,
    Outcome,
    ProcessorRequest,
    Refusal,
    Refused,
    Unknown,
)
from serve_app.processors.tokens import TEST_CARDS, Behaviour, is_steered

MakeRequest = Callable[..., ProcessorRequest]

_POLICY = processor_policy(5.0)
_BROKEN = Failed("processor_unreachable", retryable=True)
_WELL = Approved("ch_1")


class Scripted:
    """Answers what the test says, and waits for it where it says nothing."""

    name = "simulator"
    can_refuse = True

    def __init__(self) -> None:
        self.outcome: Outcome = _WELL
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        self.asked += 1
        return self.outcome

    async def lookup(self, request: ProcessorRequest, *, timeout_s: float) -> Lookup:
        self.asked += 1
        await self.may_answer.wait()
        return NotFound()

    async def refuse(self, request: ProcessorRequest, *, timeout_s: float) -> Refusal:
        self.asked += 1
        return Refused()

    async def close(self) -> None:
        """Nothing is open."""


class Bench:
    """A guarded processor on a clock that stands."""

    def __init__(self, request: ProcessorRequest) -> None:
        self.clock = ManualClock()
        self.processor = Scripted()
        self.breaker = Breaker(random.Random(0), _POLICY)
        self.budget = RetryBudget(reserve_per_s=0.0)
        self.guarded = Guarded(self.processor, self.breaker, self.budget, timeout_s=5.0, clock=self.clock.monotonic)
        self.request = request

    async def pay(self, outcome: Outcome, *, timeout_s: float = 5.0, counts: bool = True) -> None:
        """Begin an attempt, send it once and end it."""
        self.processor.outcome = outcome
        admission = self.guarded.admit(counts=counts)
        await admission.perform(self.request, timeout_s=timeout_s)
        admission.give_back()

    async def open(self) -> float:
        """Have it fail until it is open; return the pause."""
        for _ in range(_POLICY.failures_max):
            await self.pay(_BROKEN)
        assert self.breaker.state is State.OPEN
        return self.breaker.retry_after_s(self.clock.monotonic())


@pytest.fixture
def bench(make_request: MakeRequest) -> Bench:
    """Return a processor that works."""
    return Bench(make_request())


@pytest.mark.parametrize(
    ("outcome", "had_time", "expected"),
    [
        (Approved("ch_1"), True, Judgement.WORKS),
        (Declined("no_money"), True, Judgement.WORKS),
        (Failed("rejected", retryable=False), True, Judgement.WORKS),
        (Failed("processor_error", retryable=True), True, Judgement.FAILS),
        (Failed("overloaded", retryable=True), True, Judgement.FAILS),
        (Failed("connector_overloaded", retryable=True), True, Judgement.NOTHING),
        (Failed("deadline_passed", retryable=True), True, Judgement.NOTHING),
        (Unknown("connection_lost"), False, Judgement.FAILS),
        (Unknown("timeout"), True, Judgement.IS_SILENT),
        (Unknown("timeout"), False, Judgement.NOTHING),
    ],
)
def test_what_an_outcome_tells_of_the_processor(outcome: Outcome, had_time: bool, expected: Judgement) -> None:
    """What our own side did, or did not give it time for, is no fault of its."""
    assert judge(outcome, had_time=had_time) is expected


async def test_an_open_breaker_lets_nothing_begin(bench: Bench) -> None:
    """The processor hears nothing, and the caller when to come back."""
    pause_s = await bench.open()
    asked = bench.processor.asked
    with pytest.raises(ProcessorUnavailable) as refused:
        bench.guarded.admit()
    assert refused.value.retry_after_s == pause_s
    assert bench.processor.asked == asked


async def test_timeouts_open_it_sooner(bench: Bench) -> None:
    """Five of them, each of which had its time."""
    for _ in range(5):
        await bench.pay(Unknown("timeout"))
    assert bench.breaker.state is State.OPEN


async def test_a_caller_in_a_hurry_opens_nothing(bench: Bench) -> None:
    """Whoever gives the processor a tenth of a second may not shut it for the others."""
    for _ in range(100):
        await bench.pay(Unknown("timeout"), timeout_s=0.1)
    assert bench.breaker.state is State.CLOSED


async def test_what_does_not_count_opens_nothing_and_is_no_probe(bench: Bench) -> None:
    """A merchant who tests its error handling; while the processor is away it is refused like all."""
    for _ in range(100):
        await bench.pay(Unknown("timeout"), counts=False)
    assert bench.breaker.state is State.CLOSED
    bench.clock.advance(await bench.open())
    with pytest.raises(ProcessorUnavailable):
        bench.guarded.admit(counts=False)
    assert bench.guarded.admit() is not None


def test_the_tokens_that_do_not_count() -> None:
    """Those that ask for a fault or a delay; declines are ordinary answers."""
    steered = {token for token in TEST_CARDS if is_steered(token)}
    assert steered == {"tok_processor_error", "tok_timeout_charged", "tok_timeout_not_charged", "tok_slow"}
    assert all(TEST_CARDS[token].behaviour is not Behaviour.ANSWER for token in steered)


async def test_three_payments_close_it(bench: Bench) -> None:
    """One after the other, each the only one that may begin."""
    bench.clock.advance(await bench.open())
    for _ in range(_POLICY.successes_needed):
        admission = bench.guarded.admit()
        with pytest.raises(ProcessorUnavailable) as refused:
            bench.guarded.admit()
        assert refused.value.retry_after_s == 1.0
        bench.processor.outcome = _WELL
        await admission.perform(bench.request, timeout_s=5.0)
    assert bench.guarded.is_closed


async def test_an_admission_that_is_given_back_lets_another_probe(bench: Bench) -> None:
    """The payment was not begun: its key was taken, or the database was away."""
    bench.clock.advance(await bench.open())
    bench.guarded.admit().give_back()
    bench.guarded.admit()


async def test_what_was_sent_is_not_given_back(bench: Bench) -> None:
    """A probe whose outcome is not known yet stays the only one."""
    bench.clock.advance(await bench.open())
    admission = bench.guarded.admit()
    bench.processor.outcome = Failed("connector_overloaded", retryable=True)
    await admission.perform(bench.request, timeout_s=5.0)
    second = bench.guarded.admit()
    admission.give_back()
    with pytest.raises(ProcessorUnavailable):
        bench.guarded.admit()
    second.give_back()


async def test_repeats_end_when_it_opens(bench: Bench) -> None:
    """An attempt that was begun before is not refused, but it is not sent again either."""
    admission = bench.guarded.admit()
    await bench.open()
    assert not admission.may_repeat()


async def test_repeats_have_a_budget(bench: Bench) -> None:
    """A fifth of the calls; those of the test tokens cost none of it."""
    for _ in range(10):
        await bench.pay(_WELL)
    admissions = [bench.guarded.admit() for _ in range(10)]
    assert sum(admission.may_repeat() for admission in admissions) == 4
    assert bench.guarded.admit(counts=False).may_repeat()


async def test_a_repeat_is_seen_by_the_breaker(bench: Bench) -> None:
    """Each send counts, not each attempt."""
    for _ in range(10):
        await bench.pay(_WELL)
    bench.processor.outcome = _BROKEN
    admission = bench.guarded.admit()
    await admission.perform(bench.request, timeout_s=5.0)
    assert admission.may_repeat()
    await admission.perform(bench.request, timeout_s=5.0)
    assert bench.breaker.window(bench.clock.monotonic()) == (12, 2)


async def test_the_resolver_asks_one_at_a_time_while_it_is_open(bench: Bench) -> None:
    """Its questions neither close the breaker nor wait for it to close."""
    await bench.open()
    bench.processor.may_answer.clear()
    asked = bench.processor.asked
    lookups = [asyncio.ensure_future(bench.guarded.lookup(bench.request, timeout_s=5.0)) for _ in range(5)]
    await asyncio.sleep(0)
    assert bench.processor.asked == asked + 1
    bench.processor.may_answer.set()
    answers = await asyncio.gather(*lookups)
    assert answers == [NotFound(), *[LookupFailed("processor_unavailable")] * 4]
    assert await bench.guarded.refuse(bench.request, timeout_s=5.0) == Refused()
    assert bench.breaker.state is State.OPEN


async def test_the_resolver_asks_all_at_once_while_it_is_closed(bench: Bench) -> None:
    """The breaker is not in its way."""
    bench.processor.may_answer.clear()
    lookups = [asyncio.ensure_future(bench.guarded.lookup(bench.request, timeout_s=5.0)) for _ in range(5)]
    await asyncio.sleep(0)
    assert bench.processor.asked == 5
    bench.processor.may_answer.set()
    assert await asyncio.gather(*lookups) == [NotFound()] * 5
