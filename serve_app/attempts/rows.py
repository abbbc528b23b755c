"""Rows of the set-based statements: one field for each array parameter, in the order of the SQL."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class PaymentKey(NamedTuple):
    """A payment, for the merchant and mode that asks."""

    merchant_id: UUID
    livemode: bool
    payment_id: UUID


class BeginPaymentRow(NamedTuple):
    """A new payment with its attempt and claim."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    livemode: bool
    amount: int
    currency: str
    token: str
    brand: str
    last4: str
    processor: str
    description: str | None
    customer: str | None
    metadata: str
    capture: bool
    timeout_s: float
    request_id: str
    key_id: UUID
    key: str | None
    fingerprint: bytes | None
    created_at: datetime


class BeginOperationRow(NamedTuple):
    """A capture, void or refund with what it reserves; `version` is the one that it makes."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    livemode: bool
    version: int
    refund_pending: int
    pending_attempt: UUID | None
    kind: str
    amount: int
    processor: str
    timeout_s: float
    request_id: str
    key_id: UUID
    key: str | None
    fingerprint: bytes | None
    refund_id: UUID | None
    currency: str
    reason: str | None
    created_at: datetime


class ConcludeRow(NamedTuple):
    """An outcome with all that follows from it; `version` is the one that it makes, `trace` the span that its webhooks
    belong to, where that is recorded."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    attempt_state: str
    reference: str | None
    code: str | None
    concluded_at: datetime
    version: int
    sequence: int
    status: str
    captured: int
    refunded: int
    refund_pending: int
    pending_attempt: UUID | None
    payment_reference: str | None
    decline_code: str | None
    debit: str | None
    credit: str | None
    posted: int | None
    event_id: UUID
    event_type: str
    event_data: str
    refund_event_id: UUID | None
    refund_event_data: str | None
    audit_id: UUID
    audit_action: str
    trace: str | None = None


class ClaimKey(NamedTuple):
    """An idempotency key in its scope."""

    merchant_id: UUID
    livemode: bool
    key: str


class AttemptKey(NamedTuple):
    """An attempt of a payment."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID


class OpenKey(NamedTuple):
    """An attempt as its processor names it."""

    processor: str
    attempt_id: UUID


class PostponeRow(NamedTuple):
    """An open attempt that is asked about again after `delay_s`."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    delay_s: float
