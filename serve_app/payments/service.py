"""What merchants do with payments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from actors.runtime.clock import Clock
from serve_app.attempts.answer import Answer
from serve_app.attempts.engine import AttemptEngine
from serve_app.attempts.idempotent import Current, IdempotentRequests
from serve_app.attempts.intent import Intent, Owner, Requester
from serve_app.attempts.operations import Operations, claim_key, find_payment
from serve_app.attempts.repository import StoredClaim
from serve_app.attempts.rows import PaymentKey
from serve_app.attempts.sender import Processors
from serve_app.caching.changes import Changes
from serve_app.domain.attempt import Attempt, AttemptKind
from serve_app.domain.errors import ConcurrentChange, NotFound
from serve_app.domain.events import EventType
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import Prefix, new_id, public_id
from serve_app.domain.payment import Payment, PaymentStatus
from serve_app.payments.cached import CachedPayments
from serve_app.payments.repository import PageRequest, PaymentRepository, UpdateRow
from serve_app.payments.timeline import timeline
from serve_app.snapshots import encode_payment
from serve_app.storage.json_text import encode_metadata

_TRIES_MAX = 20
"""How often a change is decided again for a payment that changes meanwhile; each try lost is another's success."""


@dataclass(frozen=True, slots=True)
class NewPayment:
    """What a merchant asks for; `amount` is in minor units, `token` names the card."""

    amount: int
    currency: str
    token: str
    brand: str
    last4: str
    capture: bool
    description: str | None
    customer: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a payment; a field that is not named in `fields` stays."""

    fields: frozenset[str]
    description: str | None
    metadata: Mapping[str, str]


class PaymentService:
    """Creates, captures, voids, changes, reads and lists payments."""

    def __init__(
        self,
        payments: PaymentRepository,
        engine: AttemptEngine,
        requests: IdempotentRequests,
        operations: Operations,
        processors: Processors,
        cached: CachedPayments,
        changes: Changes,
        clock: Clock,
        processor_timeout_s: float,
    ) -> None:
        self._cached = cached
        self._changes = changes
        self._payments = payments
        self._engine = engine
        self._requests = requests
        self._operations = operations
        self._processors = processors
        self._clock = clock
        self._timeout_s = processor_timeout_s

    async def create(self, owner: Owner, wanted: NewPayment, claim: Claim | None) -> Answer:
        """Take a payment. Safe to repeat with the same claim.

        Raises:
            ProcessorUnavailable, Overloaded, Unavailable: nothing was stored.
            IdempotencyMismatch, IdempotencyInProgress: see there.
        """
        processor = self._processors.for_mode(owner.livemode)
        intent = self._new_intent(owner, wanted, claim, processor.name)
        return await self._requests.answer(
            claim_key(owner, claim),
            claim.fingerprint if claim else b"",
            lambda progress: self._engine.run_payment(intent, progress),
            self._current(owner),
            # What was answered before is told also while the processor takes nothing new.
            look_first=not processor.is_closed,
        )

    async def capture(self, owner: Owner, payment_id: UUID, amount: int | None, claim: Claim | None) -> Answer:
        """Take the money of an authorized payment, or a part of it, which releases the rest."""
        return await self._operations.run(
            owner, payment_id, AttemptKind.CAPTURE, claim, self._current(owner), amount=amount
        )

    async def void(self, owner: Owner, payment_id: UUID, claim: Claim | None) -> Answer:
        """Release an authorized payment."""
        return await self._operations.run(owner, payment_id, AttemptKind.VOID, claim, self._current(owner))

    async def get(self, owner: Owner, payment_id: UUID) -> bytes:
        """Return the payment as it is now, as JSON.

        Raises:
            NotFound: this merchant has none of that id in this mode.
        """
        json = await self._cached.find(PaymentKey(owner.merchant_id, owner.livemode, payment_id))
        if json is None:
            raise NotFound("payment", public_id(Prefix.PAYMENT, payment_id))
        return json

    async def page(self, owner: Owner, request: PageRequest) -> bytes:
        """Return a page of up to `limit` payments as JSON, newest first."""
        return await self._cached.page(owner.merchant_id, owner.livemode, request)

    async def update(self, owner: Owner, payment_id: UUID, change: Change) -> bytes:
        """Change the description or the metadata, and return the payment as JSON; safe to repeat.

        Raises:
            NotFound: this merchant has none of that id in this mode.
            ConcurrentChange: others kept changing it.
        """
        told = self._changes.of(PaymentKey(owner.merchant_id, owner.livemode, payment_id))
        try:
            for _ in range(_TRIES_MAX):
                changed = self._changed(await find_payment(self._payments, owner, payment_id), change)
                json = encode_payment(changed)
                await told.begun()
                if await self._payments.update(_update_row(changed, json, owner.requester)):
                    await told.end(changed.version, json)
                    return json
            raise ConcurrentChange("payment", public_id(Prefix.PAYMENT, payment_id))
        finally:
            await told.end_unknown()

    async def timeline(self, owner: Owner, payment_id: UUID) -> list[dict[str, Any]]:
        """Return all that happened to a payment, in order.

        Raises:
            NotFound: this merchant has none of that id in this mode.
        """
        payment = await find_payment(self._payments, owner, payment_id)
        return timeline(await self._payments.timeline(owner.merchant_id, owner.livemode, payment.id))

    def _new_intent(self, owner: Owner, wanted: NewPayment, claim: Claim | None, processor: str) -> Intent:
        now = self._clock.now()
        attempt = Attempt(new_id(), AttemptKind.AUTHORIZE, wanted.amount, wanted.capture, processor, self._timeout_s)
        payment = Payment(
            id=new_id(),
            merchant_id=owner.merchant_id,
            livemode=owner.livemode,
            amount=wanted.amount,
            amount_captured=0,
            amount_refunded=0,
            amount_refund_pending=0,
            currency=wanted.currency,
            status=PaymentStatus.PROCESSING,
            token=wanted.token,
            brand=wanted.brand,
            last4=wanted.last4,
            processor=processor,
            processor_reference=None,
            decline_code=None,
            description=wanted.description,
            customer=wanted.customer,
            metadata=wanted.metadata,
            version=1,
            sequence=0,
            pending_attempt=attempt.id,
            settlement_id=None,
            settled_at=None,
            created_at=now,
            updated_at=now,
        )
        return Intent(payment, attempt, owner.requester, claim)

    def _changed(self, payment: Payment, change: Change) -> Payment:
        return replace(
            payment,
            description=change.description if "description" in change.fields else payment.description,
            metadata=change.metadata if "metadata" in change.fields else payment.metadata,
            version=payment.version + 1,
            sequence=payment.sequence + 1,
            updated_at=self._clock.now(),
        )

    def _current(self, owner: Owner) -> Current:
        async def current(stored: StoredClaim) -> bytes:
            return await self.get(owner, stored.payment_id)

        return current


def _update_row(payment: Payment, json: bytes, requester: Requester) -> UpdateRow:
    return UpdateRow(
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        version=payment.version,
        sequence=payment.sequence,
        description=payment.description,
        metadata=encode_metadata(payment.metadata),
        updated_at=payment.updated_at,
        event_id=new_id(),
        event_type=EventType.PAYMENT_UPDATED.value,
        event_data=json.decode(),
        audit_id=new_id(),
        audit_object=public_id(Prefix.PAYMENT, payment.id),
        key_id=requester.key_id,
        request_id=requester.request_id,
        livemode=payment.livemode,
    )
