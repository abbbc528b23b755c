"""Settlement: what a merchant is paid for a day (UTC), by mode and currency.

A posting belongs to one settlement. Captured less refunded less fees, and less what an earlier settlement was short of,
is paid out; what is negative is carried to the next one. So payouts and fees sum to what the books say is owed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from uuid import UUID

from serve_app.domain import ledger
from serve_app.domain.ids import first_id_at

LATE_MAX = timedelta(hours=1)
"""A posting may be committed so long after the moment that it bears. One that comes after its day was collected is
found by the next day, which looks so far back."""
_WHOLE_BASIS_POINTS = 10_000
_HASH_MASK = (0xFFF << 64) | ((1 << 62) - 1)


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """What a captured payment costs: a share of it and a fixed amount in minor units of its currency."""

    basis_points: int
    fixed_minor: int

    def __post_init__(self) -> None:
        assert 0 <= self.basis_points <= _WHOLE_BASIS_POINTS, "a share is between nothing and all"
        assert self.fixed_minor >= 0, "nobody is paid for paying"

    def fee(self, captured_minor: int) -> int:
        """Return the fee for one capture, in minor units; the share is rounded half up, capture by capture.

        It may exceed a small capture. A refund gives no fee back.
        """
        share = (captured_minor * self.basis_points + _WHOLE_BASIS_POINTS // 2) // _WHOLE_BASIS_POINTS
        return share + self.fixed_minor


@dataclass(frozen=True, slots=True)
class Sums:
    """The postings of one settlement, summed in minor units; each sum is positive."""

    captured_minor: int
    refunded_minor: int
    fee_minor: int


@dataclass(frozen=True, slots=True)
class Closing:
    """What a settlement comes to. Payout and what is carried out: at most one of them is not zero."""

    carried_in_minor: int
    payout_minor: int
    carried_out_minor: int
    fee: ledger.Posting | None
    payout: ledger.Posting | None


def close(sums: Sums, carried_in_minor: int, currency: str) -> Closing:
    """Return the payout, what is carried to the next settlement (0 or less), and what is posted to the books.

    `carried_in_minor` is what the merchant's settlement before it carried out.
    """
    assert carried_in_minor <= 0, "what is owed to the merchant is paid, not carried"
    balance = carried_in_minor + sums.captured_minor - sums.refunded_minor - sums.fee_minor
    payout = max(balance, 0)
    return Closing(
        carried_in_minor=carried_in_minor,
        payout_minor=payout,
        carried_out_minor=min(balance, 0),
        fee=ledger.fees_charged(sums.fee_minor, currency) if sums.fee_minor else None,
        payout=ledger.paid_out(payout, currency) if payout else None,
    )


def settlement_id(merchant_id: UUID, livemode: bool, currency: str, day: date) -> UUID:
    """Return the id of a settlement: always the same one, so that a run that is repeated finds what it made.

    It sorts by the day like every id here: a UUIDv7 of the day's end whose other bits are a hash.
    """
    name = f"{merchant_id.hex}:{'live' if livemode else 'test'}:{currency}:{day.isoformat()}"
    digest = blake2b(name.encode(), digest_size=16, person=b"settlement").digest()
    return UUID(int=first_id_at(end_of(day)).int | (int.from_bytes(digest, "big") & _HASH_MASK))


def start_of(day: date) -> datetime:
    """Return the first moment of a day in UTC."""
    return datetime.combine(day, time(), UTC)


def end_of(day: date) -> datetime:
    """Return the first moment after a day in UTC."""
    return start_of(day) + timedelta(days=1)
