"""Refunds on the wire: what merchants send and get."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serve_app.domain.refund import RefundStatus
from serve_app.payments.schemas import PAGE_LIMIT_MAX, Amount, Reason


class CreateRefund(BaseModel):
    """How much to give back, and why; without an amount all that is left."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Amount | None = None
    reason: Reason | None = None


class ListRefunds(BaseModel):
    """Which refunds to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=20, ge=1, le=PAGE_LIMIT_MAX)
    starting_after: str | None = Field(default=None, description="The id of the last refund of the page before.")


class RefundView(BaseModel):
    """A refund."""

    id: str = Field(examples=["rf_0190f3c2a4b77c1d8e2f3a4b5c6d7e8f"])
    object: Literal["refund"]
    payment: str
    amount: int
    currency: str
    reason: str | None
    status: RefundStatus
    processor_reference: str | None
    failure_code: str | None
    created_at: datetime
    updated_at: datetime


class RefundPage(BaseModel):
    """Refunds, newest first."""

    data: list[RefundView]
    has_more: bool
