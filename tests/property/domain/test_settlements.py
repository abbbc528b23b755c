"""Settlements of random days: they sum to the books."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.domain.ledger import Account, Posting, balances, captured, refunded
from serve_app.domain.settlement import FeeSchedule, Sums, close

_AMOUNTS = st.lists(st.integers(1, 10**12), max_size=5)
_DAYS = st.lists(st.tuples(_AMOUNTS, _AMOUNTS), min_size=1, max_size=8)
_SCHEDULES = st.builds(FeeSchedule, st.integers(0, 10_000), st.integers(0, 10**6))


@given(days=_DAYS, schedule=_SCHEDULES)
@settings(max_examples=300, deadline=None)
def test_payouts_and_fees_are_what_was_owed(days: list[tuple[list[int], list[int]]], schedule: FeeSchedule) -> None:
    """After any days, what the books owe the merchant is what is carried; money is neither made nor lost."""
    postings: list[Posting] = []
    carried = 0
    paid = fees = 0
    for captures, refunds in days:
        postings += [captured(amount, "USD") for amount in captures]
        postings += [refunded(amount, "USD") for amount in refunds]
        sums = Sums(sum(captures), sum(refunds), sum(schedule.fee(amount) for amount in captures))
        closing = close(sums, carried, "USD")
        postings += [posting for posting in (closing.fee, closing.payout) if posting is not None]
        assert closing.carried_in_minor == carried
        assert closing.payout_minor >= 0 >= closing.carried_out_minor
        assert not (closing.payout_minor and closing.carried_out_minor)
        carried = closing.carried_out_minor
        paid += closing.payout_minor
        fees += sums.fee_minor
        books = balances(postings)
        assert books.get((Account.MERCHANT_PAYABLE, "USD"), 0) == -carried
        assert sum(books.values()) == 0
    taken = sum(sum(captures) - sum(refunds) for captures, refunds in days)
    assert paid + fees + carried == taken
    assert balances(postings).get((Account.PROCESSOR_RECEIVABLE, "USD"), 0) == taken


@given(amount=st.integers(0, 10**12), schedule=_SCHEDULES)
def test_a_fee_is_within_half_a_unit_of_its_share(amount: int, schedule: FeeSchedule) -> None:
    """And more is never cheaper."""
    share = schedule.fee(amount) - schedule.fixed_minor
    assert abs(share * 10_000 - amount * schedule.basis_points) <= 5_000
    assert schedule.fee(amount + 1) >= schedule.fee(amount)
