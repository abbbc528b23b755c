"""Compares what we believe with what was charged: our attempts and books against the acquirer's ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from tests.support.acquirer import AcquirerProcess

_OURS = """
SELECT attempts.id, attempts.kind, attempts.state, attempts.amount, attempts.capture FROM attempts
"""
_IMBALANCE = """
SELECT payments.id FROM payments LEFT JOIN (
    SELECT payment_id, sum(amount) AS balance FROM ledger_entries WHERE account = 'merchant_payable' GROUP BY payment_id
) AS books ON books.payment_id = payments.id
WHERE coalesce(-books.balance, 0) <> payments.amount_captured - payments.amount_refunded
"""
_TOTALS = """
SELECT coalesce(sum(amount_captured), 0) AS captured, coalesce(sum(amount_refunded), 0) AS refunded FROM payments
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared: attempts by state, and the minor units that both sides say were moved."""

    states: Counter[str]
    captured_minor: int
    refunded_minor: int


async def compare(database_url: str, acquirer: AcquirerProcess) -> Comparison:
    """Fail unless every attempt is final and both sides agree about each one and to the last minor unit."""
    connection = await asyncpg.connect(database_url)
    try:
        ours = {_name(row["id"]): row for row in await connection.fetch(_OURS)}
        imbalance = await connection.fetch(_IMBALANCE)
        totals = await connection.fetchrow(_TOTALS)
    finally:
        await connection.close()
    entries, theirs_totals = acquirer.ledger()
    theirs = {entry["attempt_id"]: entry for entry in entries}
    open_attempts = [name for name, row in ours.items() if row["state"] in {"started", "unknown"}]
    assert open_attempts == [], f"{len(open_attempts)} attempts are still open"
    approved = {name for name, entry in theirs.items() if entry["result"]["status"] == "approved"}
    succeeded = {name for name, row in ours.items() if row["state"] == "succeeded"}
    assert succeeded - approved == set(), "we believe in what was not done"
    assert approved - succeeded == set(), "done, and we do not know it"
    wrong = [name for name in approved if theirs[name]["request"]["amount_minor"] != ours[name]["amount"]]
    assert wrong == [], "the amounts differ"
    assert imbalance == [], "a payment differs from its postings"
    usd = theirs_totals.get("USD", {"captured_minor": 0, "refunded_minor": 0})
    assert (totals["captured"], totals["refunded"]) == (usd["captured_minor"], usd["refunded_minor"])
    return Comparison(Counter(row["state"] for row in ours.values()), usd["captured_minor"], usd["refunded_minor"])


def _name(attempt_id: UUID) -> str:
    return f"att_{attempt_id.hex}"
