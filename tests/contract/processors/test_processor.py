"""What every processor promises, on the simulator in process and on the connector with a real acquirer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    NotFound,
    Pending,
    Processor,
    ProcessorRequest,
    Refused,
    Unknown,
)
from serve_app.processors.simulator import Simulator

MakeRequest = Callable[..., ProcessorRequest]
# Nothing here waits so long, but a busy machine may stall for seconds.
TIMEOUT_S = 30.0
# Long enough for an acquirer under load to commit, short enough to wait for its silence.
SILENCE_S = 1.0


async def no_wait(pause_s: float) -> None:  # noqa: ARG001
    """Let others run, as a sleep would, without its time."""
    await asyncio.sleep(0)


@pytest.fixture(params=["simulator", "acquirer"])
async def processor(request: pytest.FixtureRequest) -> AsyncIterator[Processor]:
    made: Processor
    if request.param == "simulator":
        made = Simulator(latency_ms=1, sleep=no_wait)
    else:
        made = HttpProcessor(request.getfixturevalue("acquirer").url, connect_timeout_s=TIMEOUT_S)
    yield made
    await made.close()


async def approve(processor: Processor, request: ProcessorRequest) -> str:
    outcome = await processor.perform(request, timeout_s=TIMEOUT_S)
    assert isinstance(outcome, Approved), outcome
    return outcome.reference


def rejected(code: str) -> Failed:
    return Failed(code, retryable=False)


@pytest.mark.parametrize("token", ["tok_visa", "tok_mastercard", "tok_amex"])
async def test_good_cards_are_approved(processor: Processor, make_request: MakeRequest, token: str) -> None:
    """An ordinary card is approved under a reference that a lookup repeats."""
    request = make_request(token=token)
    reference = await approve(processor, request)
    assert await processor.lookup(request, timeout_s=TIMEOUT_S) == Approved(reference)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "generic_decline"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired_card", "expired_card"),
    ],
)
async def test_bad_cards_are_declined(processor: Processor, make_request: MakeRequest, token: str, code: str) -> None:
    """A card that the issuer turns down is declined with its code, for good."""
    request = make_request(token=token)
    outcome = await processor.perform(request, timeout_s=TIMEOUT_S)
    assert isinstance(outcome, Declined)
    assert outcome.code == code
    assert await processor.lookup(request, timeout_s=TIMEOUT_S) == outcome


async def test_processor_error_does_nothing_each_time(processor: Processor, make_request: MakeRequest) -> None:
    """A processor error is safe to retry, fails each time, and leaves an attempt that can be refused."""
    request = make_request(token="tok_processor_error")
    for _ in range(3):
        outcome = await processor.perform(request, timeout_s=TIMEOUT_S)
        assert outcome == Failed("processor_error", retryable=True)
    assert await processor.lookup(request, timeout_s=TIMEOUT_S) == NotFound()
    assert await processor.refuse(request, timeout_s=TIMEOUT_S) == Refused()


async def test_timeout_after_the_charge(processor: Processor, make_request: MakeRequest) -> None:
    """A charge whose answer was lost is found, cannot be refused, and is not made again by a repeat."""
    request = make_request(token="tok_timeout_charged", capture=True)
    assert await processor.perform(request, timeout_s=SILENCE_S) == Unknown("timeout")
    found = await processor.lookup(request, timeout_s=TIMEOUT_S)
    assert isinstance(found, Approved)
    assert await processor.refuse(request, timeout_s=TIMEOUT_S) == found
    assert await processor.perform(request, timeout_s=TIMEOUT_S) == found
    refund = make_request(AttemptKind.REFUND, token=request.token, reference=found.reference)
    await approve(processor, refund)


async def test_timeout_before_the_charge(processor: Processor, make_request: MakeRequest) -> None:
    """A request that was lost is not found, and once refused can never be performed."""
    request = make_request(token="tok_timeout_not_charged")
    assert await processor.perform(request, timeout_s=SILENCE_S) == Unknown("timeout")
    assert await processor.lookup(request, timeout_s=TIMEOUT_S) == NotFound()
    assert await processor.refuse(request, timeout_s=TIMEOUT_S) == Refused()
    assert await processor.perform(request, timeout_s=TIMEOUT_S) == rejected("refused")


async def test_slow_card_is_approved_in_the_end(processor: Processor, make_request: MakeRequest) -> None:
    """A slow card is approved within an ordinary timeout."""
    await approve(processor, make_request(token="tok_slow"))


async def test_repeats_get_the_first_answer(processor: Processor, make_request: MakeRequest) -> None:
    """One attempt performed twenty times at once, and once more, has one answer and moves money once."""
    reference = await approve(processor, make_request(capture=True))
    refund = make_request(AttemptKind.REFUND, amount_minor=1_000, reference=reference)
    outcomes = await asyncio.gather(*(processor.perform(refund, timeout_s=TIMEOUT_S) for _ in range(20)))
    assert isinstance(outcomes[0], Approved)
    assert set(outcomes) == {await processor.perform(refund, timeout_s=TIMEOUT_S)}


async def test_other_request_under_a_used_attempt(processor: Processor, make_request: MakeRequest) -> None:
    """Another request under a used attempt id answers nothing definite, and the first one stands."""
    request = make_request()
    reference = await approve(processor, request)
    other = make_request(attempt_id=request.attempt_id, amount_minor=1)
    assert await processor.perform(other, timeout_s=TIMEOUT_S) == Unknown("attempt_mismatch")
    assert await processor.lookup(request, timeout_s=TIMEOUT_S) == Approved(reference)


async def test_refused_attempt_stays_refused(processor: Processor, make_request: MakeRequest) -> None:
    """A refusal can be repeated, is seen by a lookup, and fails every later perform."""
    request = make_request()
    assert await processor.refuse(request, timeout_s=TIMEOUT_S) == Refused()
    assert await processor.refuse(request, timeout_s=TIMEOUT_S) == Refused()
    assert await processor.perform(request, timeout_s=TIMEOUT_S) == rejected("refused")
    assert await processor.lookup(request, timeout_s=TIMEOUT_S) == rejected("refused")


async def test_refusal_and_perform_at_once(processor: Processor, make_request: MakeRequest) -> None:
    """Of a refusal and a perform that race exactly one wins, and both callers hear which."""
    requests = [make_request() for _ in range(60)]

    async def race(request: ProcessorRequest, refusal_first: bool) -> tuple[Any, Any]:
        perform = processor.perform(request, timeout_s=TIMEOUT_S)
        refuse = processor.refuse(request, timeout_s=TIMEOUT_S)
        if refusal_first:
            refused, performed = await asyncio.gather(refuse, perform)
        else:
            performed, refused = await asyncio.gather(perform, refuse)
        return performed, refused

    races = [race(request, index % 2 == 0) for index, request in enumerate(requests)]
    for request, (performed, refused) in zip(requests, await asyncio.gather(*races), strict=True):
        found = await processor.lookup(request, timeout_s=TIMEOUT_S)
        assert found == performed
        assert (performed, refused) == (rejected("refused"), Refused()) or (
            isinstance(performed, Approved) and refused == performed
        )


async def test_unseen_attempt_is_not_found(processor: Processor, make_request: MakeRequest) -> None:
    """A lookup of an attempt that was never sent finds nothing and changes nothing."""
    request = make_request()
    assert await processor.lookup(request, timeout_s=TIMEOUT_S) == NotFound()
    await approve(processor, request)


async def test_capture_is_one_and_releases_the_rest(processor: Processor, make_request: MakeRequest) -> None:
    """After a partial capture there is no second one, no void, and no refund past what was captured."""
    reference = await approve(processor, make_request(amount_minor=1_000))
    await approve(processor, make_request(AttemptKind.CAPTURE, amount_minor=600, reference=reference))
    for kind, amount_minor, code in [
        (AttemptKind.CAPTURE, 400, "already_captured"),
        (AttemptKind.VOID, 400, "already_captured"),
        (AttemptKind.REFUND, 601, "amount_exceeds_captured"),
    ]:
        request = make_request(kind, amount_minor=amount_minor, reference=reference)
        assert await processor.perform(request, timeout_s=TIMEOUT_S) == rejected(code)
    await approve(processor, make_request(AttemptKind.REFUND, amount_minor=600, reference=reference))


async def test_capture_past_the_authorization(processor: Processor, make_request: MakeRequest) -> None:
    """More than was authorized cannot be captured."""
    reference = await approve(processor, make_request(amount_minor=1_000))
    capture = make_request(AttemptKind.CAPTURE, amount_minor=1_001, reference=reference)
    assert await processor.perform(capture, timeout_s=TIMEOUT_S) == rejected("amount_exceeds_authorized")


async def test_nothing_follows_a_void(processor: Processor, make_request: MakeRequest) -> None:
    """A voided authorization can be neither captured nor voided again."""
    reference = await approve(processor, make_request())
    await approve(processor, make_request(AttemptKind.VOID, reference=reference))
    for kind in (AttemptKind.CAPTURE, AttemptKind.VOID):
        request = make_request(kind, reference=reference)
        assert await processor.perform(request, timeout_s=TIMEOUT_S) == rejected("already_voided")


async def test_two_refunds_at_once_past_the_capture(processor: Processor, make_request: MakeRequest) -> None:
    """Of two refunds that together exceed the capture exactly one is made."""
    reference = await approve(processor, make_request(amount_minor=1_000, capture=True))
    refunds = [
        make_request(AttemptKind.REFUND, amount_minor=600, reference=reference),
        make_request(AttemptKind.REFUND, amount_minor=600, reference=reference),
    ]
    outcomes = await asyncio.gather(*(processor.perform(refund, timeout_s=TIMEOUT_S) for refund in refunds))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Approved", "Failed"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "tok_unheard_of"}, "unknown_token"),
        ({"amount_minor": 0}, "invalid_amount"),
        ({"kind": AttemptKind.CAPTURE}, "reference_missing"),
    ],
)
async def test_senseless_requests_are_rejected(
    processor: Processor, make_request: MakeRequest, changes: dict[str, Any], code: str
) -> None:
    """A request without a known card, money or an authorization is rejected for good."""
    assert await processor.perform(make_request(**changes), timeout_s=TIMEOUT_S) == rejected(code)


async def test_lookup_during_a_slow_operation(processor: Processor, make_request: MakeRequest) -> None:
    """While an attempt is being performed a lookup says pending or what it came to, never a denial of it."""
    request = make_request(token="tok_slow")
    performed = asyncio.create_task(processor.perform(request, timeout_s=TIMEOUT_S))
    seen = set[object]()
    while not performed.done():
        seen.add(await processor.lookup(request, timeout_s=TIMEOUT_S))
        await asyncio.sleep(0)
    outcome = await performed
    # Before the request has arrived there is nothing to be found.
    assert seen - {NotFound()} <= {Pending(), outcome}
    assert Pending() in seen


async def test_closing_twice(processor: Processor) -> None:
    """A processor can be closed again, used or not."""
    await processor.close()
    await processor.close()
