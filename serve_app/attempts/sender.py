"""Sends an attempt to its processor, within its deadline, again where that is safe."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from actors.runtime.clock import Clock
from serve_app.attempts.intent import Intent
from serve_app.domain.attempt import AttemptKind, AttemptState, Outcome
from serve_app.domain.errors import ProcessorUnavailable
from serve_app.domain.ids import Prefix, public_id
from serve_app.processors.guarded import Guarded, Passage
from serve_app.processors.protocol import Approved, Declined, Failed, ProcessorRequest, Unknown
from serve_app.processors.protocol import Outcome as Answer
from serve_app.processors.tokens import is_steered

SENDS_MAX = 3
"""How often one attempt is sent at most: a processor that failed three times within seconds fails a fourth."""
_BACKOFF_S = 0.05
_RETRY_AFTER_S = 5.0


class Processors:
    """The processors by name, and the one that takes new payments of each mode."""

    def __init__(self, test: Guarded, live: Guarded | None) -> None:
        self._test = test
        self._live = live
        self._by_name: Mapping[str, Guarded] = {
            processor.name: processor for processor in (test, live) if processor is not None
        }

    def for_mode(self, livemode: bool) -> Guarded:
        """Return the processor that takes new payments.

        Raises:
            ProcessorUnavailable: none is configured for live payments.
        """
        processor = self._live if livemode else self._test
        if processor is None:
            raise ProcessorUnavailable("live", _RETRY_AFTER_S)
        return processor

    def named(self, name: str) -> Guarded:
        """Return the processor that a payment was made with.

        Raises:
            ProcessorUnavailable: it is not configured any more.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise ProcessorUnavailable(name, _RETRY_AFTER_S) from None

    def admit(self, intent: Intent) -> Passage:
        """Let an attempt begin at its processor. Whoever gets the admission gives it back when the attempt is over.

        Raises:
            ProcessorUnavailable: the processor is not configured any more, or its circuit breaker is open.
        """
        attempt = intent.attempt
        counts = not (attempt.kind is AttemptKind.AUTHORIZE and is_steered(intent.payment.token))
        return self.named(attempt.processor).admit(counts=counts)

    @property
    def all(self) -> Iterable[Guarded]:
        """Every processor that is configured."""
        return self._by_name.values()

    async def close(self) -> None:
        """Close the connections to every processor."""
        for processor in self._by_name.values():
            await processor.close()


def processor_request(intent: Intent) -> ProcessorRequest:
    """Return what the processor is asked; the attempt's id is its idempotency key."""
    payment, attempt = intent.payment, intent.attempt
    return ProcessorRequest(
        attempt_id=public_id(Prefix.ATTEMPT, attempt.id),
        kind=attempt.kind,
        amount_minor=attempt.amount,
        currency=payment.currency,
        token=payment.token,
        capture=attempt.capture,
        reference=payment.processor_reference,
    )


class Sends(Protocol):
    """What an attempt is sent with: its admission."""

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Answer:
        """Carry out the operation, as `Processor.perform` does."""
        ...

    def may_repeat(self) -> bool:
        """Say whether the attempt may be sent once more."""
        ...


async def send(
    processor: Sends,
    intent: Intent,
    *,
    deadline: float,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
) -> Outcome | None:
    """Have the processor perform the attempt; None where the outcome is not known.

    `deadline` is on the clock's monotonic scale. Nothing is sent after it: the resolver may have taken the attempt.
    An attempt whose deadline passed before it was ever sent is left to the resolver too.
    """
    request = processor_request(intent)
    failed: Failed | None = None
    for sent in range(SENDS_MAX):
        left_s = deadline - clock.monotonic()
        if left_s <= 0:
            return None
        answer = await processor.perform(request, timeout_s=left_s)
        if isinstance(answer, Unknown):
            return None
        if not (isinstance(answer, Failed) and answer.retryable):
            return outcome_of(answer, clock)
        failed = answer
        if sent + 1 == SENDS_MAX or not processor.may_repeat():
            break
        # Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
        await sleep(random.uniform(0, _BACKOFF_S * 2**sent))
    assert failed is not None
    return outcome_of(failed, clock)


def outcome_of(answer: Approved | Declined | Failed, clock: Clock) -> Outcome:
    """Return a processor's definite answer in the domain's words."""
    match answer:
        case Approved(reference=reference):
            return Outcome(AttemptState.SUCCEEDED, clock.now(), reference=reference)
        case Declined(code=code, reference=reference):
            return Outcome(AttemptState.DECLINED, clock.now(), reference=reference, code=code)
        case Failed(code=code):
            return Outcome(AttemptState.FAILED, clock.now(), code=code)
