"""The books: double entry in which each posting debits one account and credits another with one amount.

A posting that names both sides cannot be out of balance, so the books balance in each currency by construction;
amounts are never summed across currencies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Account(StrEnum):
    """An account of a merchant's books; each has one balance for each currency."""

    PROCESSOR_RECEIVABLE = "processor_receivable"
    """Asset: what the processor has taken for the merchant and not yet paid out."""
    MERCHANT_PAYABLE = "merchant_payable"
    """Liability: what is owed to the merchant."""
    FEE_INCOME = "fee_income"
    """Income: what merchants pay for their payments."""
    BANK = "bank"
    """Asset: the money that payouts are made from."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Move `amount` (minor units, positive) from the credited to the debited account."""

    debit: Account
    credit: Account
    amount: int
    currency: str

    def __post_init__(self) -> None:
        assert self.amount > 0, "a posting moves a positive amount"
        assert self.debit != self.credit, "a posting moves between two accounts"


def captured(amount: int, currency: str) -> Posting:
    """Post a capture: the processor owes us, we owe the merchant."""
    return Posting(Account.PROCESSOR_RECEIVABLE, Account.MERCHANT_PAYABLE, amount, currency)


def refunded(amount: int, currency: str) -> Posting:
    """Post a refund: the reverse of a capture."""
    return Posting(Account.MERCHANT_PAYABLE, Account.PROCESSOR_RECEIVABLE, amount, currency)


def fees_charged(amount: int, currency: str) -> Posting:
    """Post fees: we owe the merchant less."""
    return Posting(Account.MERCHANT_PAYABLE, Account.FEE_INCOME, amount, currency)


def paid_out(amount: int, currency: str) -> Posting:
    """Post a payout: what was owed is paid."""
    return Posting(Account.MERCHANT_PAYABLE, Account.BANK, amount, currency)


def balances(postings: Iterable[Posting]) -> dict[tuple[Account, str], int]:
    """Return the debit balance (negative: credit balance) by account and currency, in minor units."""
    totals: dict[tuple[Account, str], int] = defaultdict(int)
    for posting in postings:
        totals[posting.debit, posting.currency] += posting.amount
        totals[posting.credit, posting.currency] -= posting.amount
    return dict(totals)
