"""A payment with all that belongs to it, as it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from serve_app.domain.payment import Payment


class StoredAttempt(NamedTuple):
    """An attempt."""

    id: UUID
    kind: str
    state: str
    amount: int
    capture: bool
    processor: str
    processor_reference: str | None
    code: str | None
    refund_id: UUID | None
    started_at: datetime
    finished_at: datetime | None


class StoredPosting(NamedTuple):
    """A posting, and what it is in the settlement that it belongs to: the amount is negative for a refund."""

    attempt_id: UUID
    leg: int
    debit: str
    credit: str
    amount: int
    currency: str
    created_at: datetime
    settlement_id: UUID | None
    settled_minor: int | None
    is_paid: bool
    """Whether that settlement's day is finished."""


class StoredEvent(NamedTuple):
    """An event; of the newest one of a payment also what it says."""

    object_id: UUID
    sequence: int
    type: str
    data: str | None


class StoredRefund(NamedTuple):
    """A refund."""

    id: UUID
    amount: int
    currency: str
    status: str
    processor_reference: str | None
    failure_code: str | None


@dataclass(frozen=True, slots=True)
class Dossier:
    """A payment with its attempts, postings, refunds and the events of all."""

    payment: Payment
    attempts: Sequence[StoredAttempt]
    postings: Sequence[StoredPosting]
    events: Sequence[StoredEvent]
    refunds: Sequence[StoredRefund]
