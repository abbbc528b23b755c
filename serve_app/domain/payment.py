"""A payment and the table of its transitions.

An operation has two steps. `begin` checks that the state allows it and reserves what it needs (the whole payment for
a capture or a void, an amount for a refund); `conclude` applies what the processor did. Both return a new payment
and never change the old one; both raise the version, on which the database compares and sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias, TypedDict
from uuid import UUID

from serve_app.domain import ledger
from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState, Outcome
from serve_app.domain.errors import InvalidAmount, TransitionForbidden
from serve_app.domain.events import EventType


class PaymentStatus(StrEnum):
    """The state of a payment, as merchants see it."""

    PROCESSING = "processing"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"
    DECLINED = "declined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment of a merchant. Amounts are minor units of `currency`.

    `amount_refund_pending` is reserved by refunds whose outcome is open. `pending_attempt` is the attempt that has
    the payment to itself. `sequence` counts the payment's events.
    """

    id: UUID
    merchant_id: UUID
    livemode: bool
    amount: int
    amount_captured: int
    amount_refunded: int
    amount_refund_pending: int
    currency: str
    status: PaymentStatus
    token: str
    brand: str
    last4: str
    processor: str
    processor_reference: str | None
    decline_code: str | None
    description: str | None
    customer: str | None
    metadata: Mapping[str, str]
    version: int
    sequence: int
    pending_attempt: UUID | None
    settlement_id: UUID | None
    settled_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def amount_refundable(self) -> int:
        """What can still be given back, refunds in flight counted as given."""
        return self.amount_captured - self.amount_refunded - self.amount_refund_pending


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What an outcome makes of a payment: its new state, the posting to the books (if money moved), the event."""

    payment: Payment
    posting: ledger.Posting | None
    event: EventType


class _Changes(TypedDict, total=False):
    """The fields of a payment that an outcome changes."""

    status: PaymentStatus
    amount_captured: int
    amount_refunded: int
    amount_refund_pending: int
    processor_reference: str | None
    decline_code: str | None
    pending_attempt: UUID | None
    version: int
    sequence: int
    updated_at: datetime


_Effect: TypeAlias = tuple[_Changes, ledger.Posting | None, EventType]

_BEGINS: dict[AttemptKind, frozenset[PaymentStatus]] = {
    AttemptKind.CAPTURE: frozenset({PaymentStatus.AUTHORIZED}),
    AttemptKind.VOID: frozenset({PaymentStatus.AUTHORIZED}),
    AttemptKind.REFUND: frozenset({PaymentStatus.CAPTURED, PaymentStatus.PARTIALLY_REFUNDED}),
}
"""The states in which an operation may begin; an authorization begins with the payment itself."""

_REFUSED: dict[tuple[AttemptKind, AttemptState], tuple[PaymentStatus | None, EventType]] = {
    (AttemptKind.AUTHORIZE, AttemptState.DECLINED): (PaymentStatus.DECLINED, EventType.PAYMENT_DECLINED),
    (AttemptKind.AUTHORIZE, AttemptState.FAILED): (PaymentStatus.FAILED, EventType.PAYMENT_FAILED),
    (AttemptKind.CAPTURE, AttemptState.DECLINED): (None, EventType.PAYMENT_CAPTURE_FAILED),
    (AttemptKind.CAPTURE, AttemptState.FAILED): (None, EventType.PAYMENT_CAPTURE_FAILED),
    (AttemptKind.VOID, AttemptState.DECLINED): (None, EventType.PAYMENT_VOID_FAILED),
    (AttemptKind.VOID, AttemptState.FAILED): (None, EventType.PAYMENT_VOID_FAILED),
    (AttemptKind.REFUND, AttemptState.DECLINED): (None, EventType.PAYMENT_REFUND_FAILED),
    (AttemptKind.REFUND, AttemptState.FAILED): (None, EventType.PAYMENT_REFUND_FAILED),
}
"""What becomes of the status when the processor did not do it (None: it stays), and the event that tells."""

TRANSITIONS: frozenset[tuple[PaymentStatus, PaymentStatus]] = frozenset(
    {
        (PaymentStatus.PROCESSING, PaymentStatus.AUTHORIZED),
        (PaymentStatus.PROCESSING, PaymentStatus.CAPTURED),
        (PaymentStatus.PROCESSING, PaymentStatus.DECLINED),
        (PaymentStatus.PROCESSING, PaymentStatus.FAILED),
        (PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED),
        (PaymentStatus.AUTHORIZED, PaymentStatus.VOIDED),
        (PaymentStatus.CAPTURED, PaymentStatus.PARTIALLY_REFUNDED),
        (PaymentStatus.CAPTURED, PaymentStatus.REFUNDED),
        (PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.PARTIALLY_REFUNDED),
        (PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED),
    }
)
"""Every change of status that there is."""


def begin(
    payment: Payment, kind: AttemptKind, attempt_id: UUID, amount: int | None, now: datetime
) -> tuple[Payment, int]:
    """Reserve what a capture, void or refund needs; return the payment and the amount of the attempt.

    Without `amount` a capture takes the whole authorization and a refund all that is left.

    Raises:
        TransitionForbidden: the state, or an operation in flight, does not allow it.
        InvalidAmount: more than was authorized.
    """
    if payment.status not in _BEGINS[kind]:
        raise TransitionForbidden(kind.value, payment.status.value, "its status does not allow it")
    if payment.pending_attempt is not None:
        raise TransitionForbidden(kind.value, payment.status.value, "another operation is in progress")
    changed = replace(payment, version=payment.version + 1, updated_at=now)
    if kind is AttemptKind.REFUND:
        refund = _refund_amount(payment, amount)
        return replace(changed, amount_refund_pending=payment.amount_refund_pending + refund), refund
    return replace(changed, pending_attempt=attempt_id), _capture_amount(payment, amount)


def conclude(payment: Payment, attempt: Attempt, outcome: Outcome) -> Conclusion:
    """Apply what the processor did about an attempt that is open on this payment."""
    changes: _Changes = {
        "version": payment.version + 1,
        "sequence": payment.sequence + 1,
        "updated_at": outcome.at,
        **_released(payment, attempt),
    }
    if outcome.state is AttemptState.SUCCEEDED:
        changed, posting, event = _succeeded(payment, attempt, outcome)
    else:
        changed, posting, event = _refused(attempt, outcome)
    _check_transition(payment, changed)
    # One copy with all changes: copying is most of what this costs.
    merged: dict[str, Any] = {**changes, **changed}
    return Conclusion(replace(payment, **merged), posting, event)


def holds(payment: Payment, attempt: Attempt) -> bool:
    """Say whether the payment still keeps what the attempt reserved; where it does not, the attempt was concluded.

    Of a refund it may be another refund's reservation: there only the attempt itself tells for sure.
    """
    if attempt.kind is AttemptKind.REFUND:
        return payment.amount_refund_pending >= attempt.amount
    return payment.pending_attempt == attempt.id


def _capture_amount(payment: Payment, amount: int | None) -> int:
    if amount is None:
        return payment.amount
    if amount > payment.amount:
        raise InvalidAmount("amount", f"must not be more than the authorized {payment.amount}")
    return amount


def _refund_amount(payment: Payment, amount: int | None) -> int:
    left = payment.amount_refundable
    if left == 0 or (amount is not None and amount > left):
        raise TransitionForbidden(
            AttemptKind.REFUND.value,
            payment.status.value,
            f"{left} of {payment.amount_captured} is left to refund",
        )
    return left if amount is None else amount


def _released(payment: Payment, attempt: Attempt) -> _Changes:
    """Give back what the attempt had reserved."""
    assert holds(payment, attempt), "an attempt concludes once, and only on the payment that it holds"
    if attempt.kind is not AttemptKind.REFUND:
        return {"pending_attempt": None}
    return {"amount_refund_pending": payment.amount_refund_pending - attempt.amount}


def _check_transition(payment: Payment, changes: _Changes) -> None:
    status = changes.get("status")
    if status is not None:
        assert (payment.status, status) in TRANSITIONS, f"{payment.status} -> {status} is not in the table"


def _refused(attempt: Attempt, outcome: Outcome) -> _Effect:
    status, event = _REFUSED[attempt.kind, outcome.state]
    if status is None:
        return {}, None, event
    declined = outcome.code if outcome.state is AttemptState.DECLINED else None
    return {"status": status, "decline_code": declined, "processor_reference": outcome.reference}, None, event


def _succeeded(payment: Payment, attempt: Attempt, outcome: Outcome) -> _Effect:
    match attempt.kind:
        case AttemptKind.AUTHORIZE if attempt.capture:
            taken, posting, event = _captured(payment, attempt.amount)
            return {**taken, "processor_reference": outcome.reference}, posting, event
        case AttemptKind.AUTHORIZE:
            held: _Changes = {"status": PaymentStatus.AUTHORIZED, "processor_reference": outcome.reference}
            return held, None, EventType.PAYMENT_AUTHORIZED
        case AttemptKind.CAPTURE:
            return _captured(payment, attempt.amount)
        case AttemptKind.VOID:
            return {"status": PaymentStatus.VOIDED}, None, EventType.PAYMENT_VOIDED
        case AttemptKind.REFUND:
            return _refunded(payment, attempt.amount)


def _captured(payment: Payment, amount: int) -> _Effect:
    taken: _Changes = {"status": PaymentStatus.CAPTURED, "amount_captured": amount}
    return taken, ledger.captured(amount, payment.currency), EventType.PAYMENT_CAPTURED


def _refunded(payment: Payment, amount: int) -> _Effect:
    refunded = payment.amount_refunded + amount
    whole = refunded == payment.amount_captured
    status = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    event = EventType.PAYMENT_REFUNDED if whole else EventType.PAYMENT_PARTIALLY_REFUNDED
    return {"status": status, "amount_refunded": refunded}, ledger.refunded(amount, payment.currency), event
