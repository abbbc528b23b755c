"""Payments and attempts for tests of the domain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState, Outcome
from serve_app.domain.ids import new_id
from serve_app.domain.payment import Payment, PaymentStatus

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def new_payment(**changes: Any) -> Payment:
    """Return a payment of 10.00 USD that has just begun, changed as asked."""
    payment = Payment(
        id=new_id(), merchant_id=new_id(), livemode=False, amount=1000, amount_captured=0, amount_refunded=0,
        amount_refund_pending=0, currency="USD", status=PaymentStatus.PROCESSING, token="tok_visa", brand="visa",
        last4="4242", processor="simulator", processor_reference=None, decline_code=None, description=None,
        customer=None, metadata={}, version=1, sequence=0, pending_attempt=new_id(), settlement_id=None,
        settled_at=None, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    return replace(payment, **changes)


def attempt_on(payment: Payment, kind: AttemptKind, amount: int, *, capture: bool = False) -> Attempt:
    """Return the attempt that holds the payment, or a new one for a refund."""
    attempt_id = payment.pending_attempt or new_id()
    return Attempt(attempt_id, kind, amount, capture, payment.processor, 5.0)


def outcome(state: AttemptState, code: str | None = None) -> Outcome:
    """Return an outcome of that state."""
    reference = "ch_1" if state is AttemptState.SUCCEEDED else None
    return Outcome(state, NOW, reference=reference, code=code)
