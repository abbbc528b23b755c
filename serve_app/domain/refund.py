"""A refund: money given back for one payment; a payment can have many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from serve_app.domain.attempt import AttemptState, Outcome


class RefundStatus(StrEnum):
    """How far a refund is."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Refund:
    """One refund of `amount` minor units; `failure_code` says why the processor did not do it."""

    id: UUID
    payment_id: UUID
    amount: int
    currency: str
    reason: str | None
    status: RefundStatus
    processor_reference: str | None
    failure_code: str | None
    created_at: datetime
    updated_at: datetime

    def concluded(self, outcome: Outcome) -> Refund:
        """Return the refund with what the processor did."""
        succeeded = outcome.state is AttemptState.SUCCEEDED
        return replace(
            self,
            status=RefundStatus.SUCCEEDED if succeeded else RefundStatus.FAILED,
            processor_reference=outcome.reference,
            failure_code=None if succeeded else outcome.code,
            updated_at=outcome.at,
        )
