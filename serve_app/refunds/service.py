"""What merchants do with refunds."""

from __future__ import annotations

from uuid import UUID

from serve_app.attempts.answer import Answer
from serve_app.attempts.idempotent import Current
from serve_app.attempts.intent import Owner
from serve_app.attempts.operations import Operations
from serve_app.attempts.repository import StoredClaim
from serve_app.attempts.rows import PaymentKey
from serve_app.domain.attempt import AttemptKind
from serve_app.domain.errors import NotFound
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import Prefix, public_id
from serve_app.payments.cached import CachedPayments
from serve_app.refunds.cached import CachedRefunds


class RefundService:
    """Makes, reads and lists refunds."""

    def __init__(self, refunds: CachedRefunds, payments: CachedPayments, operations: Operations) -> None:
        self._refunds = refunds
        self._payments = payments
        self._operations = operations

    async def create(
        self, owner: Owner, payment_id: UUID, amount: int | None, reason: str | None, claim: Claim | None
    ) -> Answer:
        """Give money back: `amount` minor units, or all that is left. Safe to repeat with the same claim."""
        return await self._operations.run(
            owner, payment_id, AttemptKind.REFUND, claim, self._current(owner), amount=amount, reason=reason
        )

    async def get(self, owner: Owner, refund_id: UUID) -> bytes:
        """Return the refund as it is now, as JSON.

        Raises:
            NotFound: this merchant has none of that id in this mode.
        """
        refund = await self._refunds.find(owner.merchant_id, owner.livemode, refund_id)
        if refund is None:
            raise NotFound("refund", public_id(Prefix.REFUND, refund_id))
        return refund

    async def payment_of(self, owner: Owner, payment_id: UUID) -> bytes:
        """Return the payment of a refund as it is now, as JSON.

        Raises:
            NotFound: this merchant has no such payment in this mode.
        """
        payment = await self._payments.find(PaymentKey(owner.merchant_id, owner.livemode, payment_id))
        if payment is None:
            raise NotFound("payment", public_id(Prefix.PAYMENT, payment_id))
        return payment

    async def page(self, owner: Owner, payment_id: UUID, before: UUID | None, limit: int) -> bytes:
        """Return a page of up to `limit` refunds of a payment as JSON, newest first.

        Raises:
            NotFound: this merchant has no such payment in this mode.
        """
        await self.payment_of(owner, payment_id)
        return await self._refunds.page(PaymentKey(owner.merchant_id, owner.livemode, payment_id), before, limit)

    def _current(self, owner: Owner) -> Current:
        async def current(stored: StoredClaim) -> bytes:
            assert stored.refund_id is not None, "the attempt of a refund names it"
            return await self.get(owner, stored.refund_id)

        return current
