"""The processor in process, on a clock that never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.protocol import (
    Approved,
    Failed,
    LookupFailed,
    NotFound,
    Pending,
    ProcessorRequest,
    Refused,
    Unknown,
)
from serve_app.processors.simulator import Simulator

MakeRequest = Callable[..., ProcessorRequest]


class Naps:
    """Write down how long the simulator would have slept; sleep until `wake` where `held`."""

    def __init__(self, *, held: bool = False) -> None:
        self.taken_s: list[float] = []
        self.asleep = asyncio.Event()
        self._wake = asyncio.Event()
        if not held:
            self._wake.set()

    async def __call__(self, pause_s: float) -> None:
        self.taken_s.append(pause_s)
        self.asleep.set()
        await self._wake.wait()

    def wake(self) -> None:
        self._wake.set()


async def test_answers_at_once_by_default(make_request: MakeRequest) -> None:
    """Without latency nothing sleeps, not even once."""
    naps = Naps()
    assert isinstance(await Simulator(sleep=naps).perform(make_request(), timeout_s=5), Approved)
    assert naps.taken_s == []


async def test_latency_is_slept_in_two_halves(make_request: MakeRequest) -> None:
    """The delay lies half before and half after the charge."""
    naps = Naps()
    await Simulator(latency_ms=200, sleep=naps).perform(make_request(), timeout_s=5)
    assert naps.taken_s == [0.1, 0.1]


@pytest.mark.parametrize("token", ["tok_timeout_charged", "tok_timeout_not_charged"])
async def test_silent_tokens_use_up_the_timeout(make_request: MakeRequest, token: str) -> None:
    """A token that is never answered keeps its caller for the whole timeout, delays included."""
    naps = Naps()
    processor = Simulator(latency_ms=1_000, sleep=naps)
    assert await processor.perform(make_request(token=token), timeout_s=5) == Unknown("timeout")
    assert sum(naps.taken_s) == pytest.approx(5)


async def test_delay_before_the_charge_past_the_timeout(make_request: MakeRequest) -> None:
    """A caller that gives up before the charge learns nothing, and nothing is charged."""
    processor, request = Simulator(latency_ms=4_000, sleep=Naps()), make_request()
    assert await processor.perform(request, timeout_s=1) == Unknown("timeout")
    assert await processor.lookup(request, timeout_s=1) == NotFound()


async def test_delay_after_the_charge_past_the_timeout(make_request: MakeRequest) -> None:
    """A caller that gives up after the charge learns nothing, but the money moved."""
    processor, request = Simulator(latency_ms=4_000, sleep=Naps()), make_request()
    assert await processor.perform(request, timeout_s=3) == Unknown("timeout")
    assert isinstance(await processor.lookup(request, timeout_s=1), Approved)


async def test_slow_token_takes_two_seconds(make_request: MakeRequest) -> None:
    """The slow card is approved after two seconds."""
    naps = Naps()
    outcome = await Simulator(sleep=naps).perform(make_request(token="tok_slow"), timeout_s=5)
    assert isinstance(outcome, Approved)
    assert sum(naps.taken_s) == 2.0


async def test_pending_while_it_is_performed(make_request: MakeRequest) -> None:
    """A lookup during the first delay says pending; a duplicate waits and gets the same answer."""
    naps = Naps(held=True)
    processor, request = Simulator(latency_ms=10, sleep=naps), make_request()
    first = asyncio.create_task(processor.perform(request, timeout_s=5))
    await naps.asleep.wait()
    assert await processor.lookup(request, timeout_s=1) == Pending()
    second = asyncio.create_task(processor.perform(request, timeout_s=5))
    naps.wake()
    assert await first == await second


async def test_refusal_waits_for_the_one_at_work(make_request: MakeRequest) -> None:
    """A refusal of an attempt that is being performed answers what it came to."""
    naps = Naps(held=True)
    processor, request = Simulator(latency_ms=10, sleep=naps), make_request()
    performed = asyncio.create_task(processor.perform(request, timeout_s=5))
    await naps.asleep.wait()
    refused = asyncio.create_task(processor.refuse(request, timeout_s=5))
    naps.wake()
    assert await refused == await performed


async def test_refusal_gives_up_at_its_timeout(make_request: MakeRequest) -> None:
    """A refusal that may wait no longer concludes nothing."""
    naps = Naps(held=True)
    processor, request = Simulator(latency_ms=10, sleep=naps), make_request()
    performed = asyncio.create_task(processor.perform(request, timeout_s=5))
    await naps.asleep.wait()
    assert await processor.refuse(request, timeout_s=0) == LookupFailed("timeout")
    naps.wake()
    assert isinstance(await performed, Approved)


async def test_cancelled_call_leaves_the_attempt_free(make_request: MakeRequest) -> None:
    """A call cancelled before its charge leaves no pending attempt behind."""
    naps = Naps(held=True)
    processor, request = Simulator(latency_ms=10, sleep=naps), make_request()
    performed = asyncio.create_task(processor.perform(request, timeout_s=5))
    await naps.asleep.wait()
    performed.cancel()
    await asyncio.gather(performed, return_exceptions=True)
    assert await processor.lookup(request, timeout_s=1) == NotFound()


async def test_another_process_tells_from_the_token(make_request: MakeRequest) -> None:
    """A simulator that never saw the attempt tells of tok_timeout_charged as another would."""
    request = make_request(token="tok_timeout_charged")
    here, elsewhere = Simulator(sleep=Naps()), Simulator(sleep=Naps())
    await here.perform(request, timeout_s=1)
    found = await here.lookup(request, timeout_s=1)
    assert isinstance(found, Approved)
    assert await elsewhere.lookup(request, timeout_s=1) == found
    assert await elsewhere.refuse(request, timeout_s=1) == found


@pytest.mark.parametrize("token", ["tok_visa", "tok_timeout_not_charged", "tok_processor_error"])
async def test_another_process_finds_nothing_else(make_request: MakeRequest, token: str) -> None:
    """Of any other unseen attempt nothing is known, and it can be refused."""
    processor, request = Simulator(), make_request(token=token)
    assert await processor.lookup(request, timeout_s=1) == NotFound()
    assert await processor.refuse(request, timeout_s=1) == Refused()


async def test_memory_is_bounded_and_the_forgotten_is_accepted(make_request: MakeRequest) -> None:
    """The oldest entries make room, and a capture of a forgotten authorization is accepted."""
    processor = Simulator(entries_max=2)
    oldest = make_request()
    authorized = await processor.perform(oldest, timeout_s=1)
    assert isinstance(authorized, Approved)
    for _ in range(2):
        await processor.perform(make_request(), timeout_s=1)
    assert await processor.lookup(oldest, timeout_s=1) == NotFound()
    capture = make_request(AttemptKind.CAPTURE, reference=authorized.reference)
    assert isinstance(await processor.perform(capture, timeout_s=1), Approved)


async def test_failures_are_drawn_from_the_seed(make_request: MakeRequest) -> None:
    """At a rate of one every operation meets a fault; what each proves holds at a lookup."""
    processor = Simulator(failure_rate=1.0, seed=3, sleep=Naps())
    seen = set[object]()
    for _ in range(60):
        request = make_request()
        outcome = await processor.perform(request, timeout_s=5)
        found = await processor.lookup(request, timeout_s=1)
        match outcome:
            case Approved():
                assert found == outcome
            case Failed():
                assert found == NotFound()
        seen.add((type(outcome), getattr(outcome, "reason", None), type(found)))
    assert seen == {
        (Approved, None, Approved),
        (Failed, None, NotFound),
        (Unknown, "timeout", Approved),
        (Unknown, "timeout", NotFound),
        (Unknown, "connection_reset", Approved),
        (Unknown, "connection_reset", NotFound),
    }
