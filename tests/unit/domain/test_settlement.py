"""What a settlement comes to."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from serve_app.domain.ids import first_id_at, new_id
from serve_app.domain.ledger import Account, balances
from serve_app.domain.settlement import FeeSchedule, Sums, close, end_of, settlement_id, start_of

DAY = date(2026, 1, 31)


@pytest.mark.parametrize(
    ("captured", "fee"),
    [
        (0, 30),
        (1, 30),
        (17, 30),
        (18, 31),
        (1000, 59),
        (1724, 80),
        (1725, 80),
        (50, 31),
        (999_999_999_999, 29_000_000_030),
    ],
)
def test_the_share_is_rounded_half_up(captured: int, fee: int) -> None:
    """2.9 % of 50 is 1.45, which is 1; of 1725 it is 50.025; of 18 it is 0.522, which is 1."""
    assert FeeSchedule(290, 30).fee(captured) == fee


def test_a_half_is_rounded_up() -> None:
    """5 % of 10 is 0.5."""
    assert FeeSchedule(500, 0).fee(10) == 1
    assert FeeSchedule(500, 0).fee(9) == 0


def test_what_is_left_is_paid_out() -> None:
    """And nothing is carried."""
    closing = close(Sums(10_000, 2_000, 300), -700, "USD")
    assert (closing.payout_minor, closing.carried_out_minor) == (7_000, 0)
    books = balances(posting for posting in (closing.fee, closing.payout) if posting is not None)
    assert books == {
        (Account.MERCHANT_PAYABLE, "USD"): 7_300,
        (Account.FEE_INCOME, "USD"): -300,
        (Account.BANK, "USD"): -7_000,
    }


def test_what_is_short_is_carried() -> None:
    """Nobody is paid, and the fee is still posted."""
    closing = close(Sums(1_000, 1_500, 59), -1, "USD")
    assert (closing.payout_minor, closing.carried_out_minor, closing.payout) == (0, -560, None)
    assert closing.fee is not None
    assert closing.fee.amount == 59


def test_the_id_is_always_the_same_and_sorts_by_day() -> None:
    """Each of merchant, mode, currency and day makes another one."""
    merchant = new_id()
    one = settlement_id(merchant, True, "USD", DAY)
    assert one == settlement_id(merchant, True, "USD", DAY)
    others = {
        settlement_id(new_id(), True, "USD", DAY),
        settlement_id(merchant, False, "USD", DAY),
        settlement_id(merchant, True, "EUR", DAY),
        settlement_id(merchant, True, "USD", DAY + timedelta(days=1)),
    }
    assert one not in others
    assert len(others) == 4
    assert (one.version, one.variant) == (7, first_id_at(end_of(DAY)).variant)
    assert first_id_at(end_of(DAY)) <= one < first_id_at(end_of(DAY) + timedelta(milliseconds=1))


def test_a_day_ends_where_the_next_begins() -> None:
    """In UTC."""
    assert end_of(DAY) == start_of(date(2026, 2, 1))
    assert end_of(DAY).utcoffset() == timedelta(0)
