"""Rows of the settlement statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import UUID


class CollectRow(NamedTuple):
    """A posting that goes to a settlement; a refund's amount is negative."""

    merchant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    settlement_id: UUID
    livemode: bool
    currency: str
    amount_minor: int
    fee_minor: int


class CloseRow(NamedTuple):
    """What a settlement comes to."""

    merchant_id: UUID
    settlement_id: UUID
    carried_in_minor: int
    payout_minor: int
    carried_out_minor: int


class PostingRow(NamedTuple):
    """A posting of a settlement itself."""

    merchant_id: UUID
    settlement_id: UUID
    leg: int
    debit: str
    credit: str
    amount: int
    currency: str


class MarkRow(NamedTuple):
    """A payment and the settlement that it is in."""

    merchant_id: UUID
    payment_id: UUID
    settlement_id: UUID


@dataclass(frozen=True, slots=True)
class DayTotals:
    """What a day came to in one mode and currency; amounts in minor units."""

    day: date
    livemode: bool
    currency: str
    settlements: int
    captures: int
    refunds: int
    captured_minor: int
    refunded_minor: int
    fee_minor: int
    carried_in_minor: int
    payout_minor: int
    carried_out_minor: int
