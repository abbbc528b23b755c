"""What the audit of a drill finds in a real database."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from cluster.trial.audit import audit
from cluster.trial.key import MERCHANT
from cluster.trial.stream import Books
from tests.support.postgres import TestPostgres

_PAYMENT = """
INSERT INTO payments (
    merchant_id, id, livemode, amount, amount_captured, amount_refunded, amount_refund_pending, currency, status, token,
    brand, last4, processor, description, metadata, version, sequence, created_at, updated_at)
VALUES ($1, $2, false, 1999, $3, 0, 0, 'USD', $4, 'tok_visa', 'visa', '4242', 'simulator', $5, '{}', 1, 0, now(), now())
"""
_CHARGE = """
INSERT INTO attempts (
    merchant_id, payment_id, id, kind, state, amount, capture, processor, request_id, key_id, started_at, deadline_at,
    finished_at)
VALUES ($1, $2, $3, 'authorize', 'succeeded', 1999, true, 'simulator', 'req', $3, now(), now(), now())
"""
_POSTING = """
INSERT INTO ledger_postings (merchant_id, payment_id, attempt_id, debit, credit, amount, currency, created_at)
VALUES ($1, $2, $3, 'processor_receivable', 'merchant_payable', 1999, 'USD', now())
"""


class Drill:
    """A drill's payments, and what was acknowledged of them."""

    def __init__(self, connection: asyncpg.Connection, merchant: uuid.UUID) -> None:
        self._connection = connection
        self._merchant = merchant
        self.description = f"drill {uuid.uuid4().hex}"
        self.books = Books()

    async def pay(self, *, status: str = "captured", charges: int = 1, posted: bool = True) -> None:
        """Store a payment that was acknowledged as captured."""
        payment = uuid.uuid4()
        captured = 1999 if status == "captured" else 0
        await self._connection.execute(_PAYMENT, self._merchant, payment, captured, status, self.description)
        for number in range(charges):
            attempt = uuid.uuid4()
            await self._connection.execute(_CHARGE, self._merchant, payment, attempt)
            if posted and number == 0:
                await self._connection.execute(_POSTING, self._merchant, payment, attempt)
        self.acknowledge(payment)

    def acknowledge(self, payment: uuid.UUID) -> None:
        """Note that a client was told that a payment is captured."""
        self.books.acknowledged[uuid.uuid4().hex] = {"id": f"pay_{payment.hex}", "status": "captured"}


@pytest.fixture
async def drill(postgres: TestPostgres) -> AsyncIterator[Drill]:
    """Return a drill without payments."""
    connection = await asyncpg.connect(postgres.url())
    merchant = await connection.fetchval(
        "INSERT INTO merchants (id, name) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET name = $2 RETURNING id",
        uuid.uuid4(),
        MERCHANT,
    )
    yield Drill(connection, merchant)
    await connection.close()


async def test_good_books_are_good(postgres: TestPostgres, drill: Drill) -> None:
    """And the payments of another drill are none of ours."""
    await drill.pay()
    await drill.pay()
    money = await audit(postgres.url(), drill.description, drill.books)
    assert (money.stored, money.acknowledged, money.faults) == (2, 2, [])


async def test_everything_that_can_be_wrong_is_found(postgres: TestPostgres, drill: Drill) -> None:
    """Each by itself: lost, charged twice, open, unbalanced."""
    drill.acknowledge(uuid.uuid4())
    await drill.pay(charges=2)
    await drill.pay(status="processing", charges=0)
    await drill.pay(posted=False)
    money = await audit(postgres.url(), drill.description, drill.books, final_within_s=0.0)
    # What is open was acknowledged as captured too.
    assert (money.lost, money.charged_twice, money.open, money.unbalanced) == (2, 1, 1, 1)
