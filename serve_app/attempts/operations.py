"""Captures, voids and refunds: operations on a payment that exists."""

from __future__ import annotations

from uuid import UUID

from actors.runtime.clock import Clock
from serve_app.attempts.answer import Answer
from serve_app.attempts.engine import AttemptEngine, PaymentReader
from serve_app.attempts.idempotent import Current, IdempotentRequests
from serve_app.attempts.intent import Intent, Owner
from serve_app.attempts.rows import ClaimKey, PaymentKey
from serve_app.domain.attempt import Attempt, AttemptKind
from serve_app.domain.errors import NotFound
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import Prefix, new_id, public_id
from serve_app.domain.payment import Payment, begin
from serve_app.domain.refund import Refund, RefundStatus


class Operations:
    """Decides operations on payments and has them carried out."""

    def __init__(
        self,
        payments: PaymentReader,
        engine: AttemptEngine,
        requests: IdempotentRequests,
        clock: Clock,
        processor_timeout_s: float,
    ) -> None:
        self._payments = payments
        self._engine = engine
        self._requests = requests
        self._clock = clock
        self._timeout_s = processor_timeout_s

    async def run(
        self,
        owner: Owner,
        payment_id: UUID,
        kind: AttemptKind,
        claim: Claim | None,
        current: Current,
        *,
        amount: int | None = None,
        reason: str | None = None,
    ) -> Answer:
        """Capture, void or refund. Safe to repeat with the same claim.

        Raises:
            NotFound, TransitionForbidden, InvalidAmount: nothing was stored.
            Overloaded, Unavailable, ConcurrentChange: nothing was stored; repeat.
            IdempotencyMismatch, IdempotencyInProgress: see there.
        """

        key = PaymentKey(owner.merchant_id, owner.livemode, payment_id)

        async def decide() -> Intent:
            payment = await find_payment(self._payments, owner, payment_id)
            return self._intent(payment, kind, amount, reason, owner, claim)

        return await self._requests.answer(
            claim_key(owner, claim),
            claim.fingerprint if claim else b"",
            lambda progress: self._engine.run_operation(key, decide, progress),
            current,
            look_first=True,
        )

    def _intent(
        self,
        payment: Payment,
        kind: AttemptKind,
        amount: int | None,
        reason: str | None,
        owner: Owner,
        claim: Claim | None,
    ) -> Intent:
        attempt_id = new_id()
        begun, attempted = begin(payment, kind, attempt_id, amount, self._clock.now())
        attempt = Attempt(attempt_id, kind, attempted, False, payment.processor, self._timeout_s)
        refund = _new_refund(begun, attempted, reason) if kind is AttemptKind.REFUND else None
        return Intent(begun, attempt, owner.requester, claim, refund)


async def find_payment(payments: PaymentReader, owner: Owner, payment_id: UUID) -> Payment:
    """Return the owner's payment as it is now.

    Raises:
        NotFound: the merchant has none of that id in that mode.
    """
    payment = await payments.find(PaymentKey(owner.merchant_id, owner.livemode, payment_id))
    if payment is None:
        raise NotFound("payment", public_id(Prefix.PAYMENT, payment_id))
    return payment


def claim_key(owner: Owner, claim: Claim | None) -> ClaimKey | None:
    """Return the claim's key in the scope of its owner."""
    return None if claim is None else ClaimKey(owner.merchant_id, owner.livemode, claim.key)


def _new_refund(payment: Payment, amount: int, reason: str | None) -> Refund:
    return Refund(
        id=new_id(),
        payment_id=payment.id,
        amount=amount,
        currency=payment.currency,
        reason=reason,
        status=RefundStatus.PROCESSING,
        processor_reference=None,
        failure_code=None,
        created_at=payment.updated_at,
        updated_at=payment.updated_at,
    )
