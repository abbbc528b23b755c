"""Finds out the truth about attempts that were left open, and records it.

An attempt is left open when its processor did not answer, or when the process that ran it died. The processor is
asked by the attempt's id, and only a definite answer concludes. One that it has never seen is refused, so that a
request still on the wire cannot charge later; a processor that cannot refuse gets the same attempt again, which it
does at most once, and what that made is voided.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog

from actors.runtime.clock import Clock
from actors.runtime.errors import ActorError
from serve_app.attempts.engine import AttemptEngine, PaymentReader
from serve_app.attempts.intent import Intent, Owner, Requester
from serve_app.attempts.operations import find_payment
from serve_app.attempts.repository import AttemptRepository, OpenAttempt
from serve_app.attempts.rows import AttemptKey
from serve_app.attempts.sender import Processors, outcome_of, processor_request
from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState, Outcome
from serve_app.domain.errors import DomainError
from serve_app.incident import describe
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    LookupFailed,
    NotFound,
    Pending,
    Processor,
    ProcessorRequest,
    Refused,
)
from serve_app.refunds.repository import RefundRepository

_logger = structlog.get_logger(__name__)

_SWEEP_MAX = 200
_AT_ONCE_MAX = 32
_ASK_TIMEOUT_S = 5.0
_ASK_AGAIN_S = 1.0
_SET_ASIDE_S = 60.0
_NEVER_SENT = "never_received"


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did: attempts that it found, and how many of them are final now."""

    found: int
    concluded: int

    @property
    def is_full(self) -> bool:
        """Whether there may be more, and the next one should follow at once."""
        return self.found == _SWEEP_MAX and self.concluded > 0


class Resolver:
    """Concludes overdue attempts. Two at once do no harm: an attempt is concluded once."""

    def __init__(
        self,
        attempts: AttemptRepository,
        payments: PaymentReader,
        refunds: RefundRepository,
        engine: AttemptEngine,
        processors: Processors,
        clock: Clock,
    ) -> None:
        self._attempts = attempts
        self._payments = payments
        self._refunds = refunds
        self._engine = engine
        self._processors = processors
        self._clock = clock
        self._at_once = asyncio.Semaphore(_AT_ONCE_MAX)

    async def sweep(self) -> Swept:
        """Ask about the attempts that are overdue now.

        Raises:
            Unavailable: the database is away; repeat later.
        """
        overdue = await self._attempts.list_overdue(_SWEEP_MAX)
        concluded = await asyncio.gather(*(self._resolve_one(attempt) for attempt in overdue))
        return Swept(len(overdue), sum(concluded))

    async def settle(self, attempt: OpenAttempt) -> bool:
        """Ask about one attempt at once, overdue or not; say whether it is final now.

        One that the processor does not know is left alone: while its deadline is not over, its request may still be
        on the wire, and a refusal would fail a payment that somebody waits for.

        Raises:
            ActorError, DomainError: the database or the cache is away, or the processor is not configured; repeat.
        """
        intent = await self._intent(attempt)
        processor = self._processors.named(intent.attempt.processor)
        answer = await processor.lookup(processor_request(intent), timeout_s=_ASK_TIMEOUT_S)
        if not isinstance(answer, Approved | Declined | Failed):
            return False
        await self._engine.conclude(intent, outcome_of(answer, self._clock))
        return True

    async def _resolve_one(self, overdue: OpenAttempt) -> bool:
        async with self._at_once:
            try:
                intent = await self._intent(overdue)
                outcome = await self._truth(intent)
                if outcome is not None:
                    await self._engine.conclude(intent, outcome)
                    return True
                await self._attempts.postpone(overdue.key, _ASK_AGAIN_S)
            except (ActorError, DomainError):
                # The database or the processor is away: the attempt stays overdue and is asked about again.
                return False
            except Exception as error:
                # A defect that one attempt meets must not keep the others from their truth.
                _logger.error("an attempt cannot be resolved", attempt=str(overdue.key.attempt_id), **describe(error))
                await self._set_aside(overdue.key)
        return False

    async def _set_aside(self, key: AttemptKey) -> None:
        try:
            await self._attempts.postpone(key, _SET_ASIDE_S)
        except ActorError:
            return  # It stays overdue, and the next sweep meets it again.

    async def _intent(self, overdue: OpenAttempt) -> Intent:
        requester = Requester(overdue.key_id, overdue.request_id)
        owner = Owner(overdue.key.merchant_id, overdue.livemode, requester)
        payment = await find_payment(self._payments, owner, overdue.key.payment_id)
        refund = None
        if overdue.refund_id is not None:
            refund = await self._refunds.find(payment.merchant_id, payment.livemode, overdue.refund_id)
        attempt = Attempt(
            id=overdue.key.attempt_id,
            kind=overdue.kind,
            amount=overdue.amount,
            capture=overdue.capture,
            processor=overdue.processor,
            timeout_s=_ASK_TIMEOUT_S,
        )
        return Intent(payment, attempt, requester, None, refund)

    async def _truth(self, intent: Intent) -> Outcome | None:
        """Return what the processor definitely did, None where it cannot say yet."""
        processor = self._processors.named(intent.attempt.processor)
        request = processor_request(intent)
        match await processor.lookup(request, timeout_s=_ASK_TIMEOUT_S):
            case Approved() | Declined() | Failed() as answer:
                return outcome_of(answer, self._clock)
            case Pending() | LookupFailed():
                return None
            case NotFound():
                return await self._never_seen(processor, request)

    async def _never_seen(self, processor: Processor, request: ProcessorRequest) -> Outcome | None:
        if not processor.can_refuse:
            return await self._sent_again_and_voided(processor, request)
        match await processor.refuse(request, timeout_s=_ASK_TIMEOUT_S):
            case Refused():
                return Outcome(AttemptState.FAILED, self._clock.now(), code=_NEVER_SENT)
            case Approved() | Declined() | Failed() as answer:
                return outcome_of(answer, self._clock)
            case LookupFailed():
                return None

    async def _sent_again_and_voided(self, processor: Processor, request: ProcessorRequest) -> Outcome | None:
        """Make the attempt happen, which settles that it happens once, and undo an authorization that nobody awaits.

        A capture, void or refund that goes through is what the merchant asked for, and stays.
        """
        answer = await processor.perform(request, timeout_s=_ASK_TIMEOUT_S)
        if not isinstance(answer, Approved | Declined):
            return None
        if isinstance(answer, Declined) or request.kind is not AttemptKind.AUTHORIZE:
            return outcome_of(answer, self._clock)
        undo = replace(
            request,
            attempt_id=f"{request.attempt_id}_undo",
            kind=AttemptKind.REFUND if request.capture else AttemptKind.VOID,
            capture=False,
            reference=answer.reference,
        )
        undone = await processor.perform(undo, timeout_s=_ASK_TIMEOUT_S)
        if not isinstance(undone, Approved):
            return None
        return Outcome(AttemptState.FAILED, self._clock.now(), reference=answer.reference, code=_NEVER_SENT)
