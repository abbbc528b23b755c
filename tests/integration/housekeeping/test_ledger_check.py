"""The check compares all that changed, once, whatever commits when, and shows what disagrees until it is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest
from pydantic_core import from_json
from structlog.testing import capture_logs

from serve_app.attempts.intent import Owner
from serve_app.domain.ids import Prefix, new_id, public_id
from serve_app.http.operation import Call
from serve_app.ledger_checks.check import CHECKED, DISCREPANCIES
from serve_app.ledger_checks.endpoints import LedgerEndpoints, LedgerStanding, ListDiscrepancies
from serve_app.services import Services
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE, TestPostgres


@dataclass(frozen=True)
class Shop:
    """A merchant, and the database as its owner sees it."""

    services: Services
    merchant: Owner
    connection: asyncpg.Connection

    async def pay(self, amount: int = 1000) -> UUID:
        """Take a payment."""
        return (await self.services.payments.create(self.merchant, new_payment(amount), None)).payment_id

    async def spoil(self, payment_id: UUID, by: int) -> None:
        """Have the payment say another amount than its posting, in a transaction that writes an event."""
        await self.connection.execute(
            "UPDATE payments SET amount_captured = amount_captured + $2 WHERE id = $1", payment_id, by
        )

    async def shown(self) -> LedgerStanding:
        """Return what an operator sees."""
        call = Call("GET", "/ops/api/ledger", {}, "r-1", query=ListDiscrepancies(limit=100))
        answer = await LedgerEndpoints(self.services.ledger_check).show(call)
        return LedgerStanding.model_validate(from_json(answer.body))


@pytest.fixture
async def shop(own_postgres: TestPostgres) -> AsyncIterator[Shop]:
    """Open a shop on a database of its own: the check is of all merchants."""
    connection = await asyncpg.connect(own_postgres.url())
    async with gateway_services(own_postgres.url(APP_ROLE)) as services:
        yield Shop(services, owner(new_id(), new_id()), connection)
    await connection.close()


async def test_the_check_of_the_ledger(shop: Shop) -> None:
    """One story, for each test has a server of its own."""
    check = shop.services.ledger_check

    # Payments of every kind agree, and are looked at once.
    for _ in range(3):
        await shop.pay()
    refunded = await shop.pay()
    await shop.services.refunds.create(shop.merchant, refunded, 400, None, None)
    authorized = (await shop.services.payments.create(shop.merchant, new_payment(capture=False), None)).payment_id
    await shop.services.payments.capture(shop.merchant, authorized, 700, None)
    total = await check.run()
    assert (total.payments, total.found, total.is_complete) == (5, 0, True)
    assert (await check.run()).payments == 0

    # A payment that says more than was posted is found, logged without its figures' owner, shown and counted.
    spoilt = await shop.pay()
    await shop.connection.execute("UPDATE payments SET amount_captured = 900 WHERE id = $1", spoilt)
    with capture_logs() as logs:
        total = await check.run()
    assert (total.payments, total.found) == (1, 1)
    [line] = [line for line in logs if line["log_level"] == "error"]
    assert (line["payment"], line["payment_captured"], line["ledger_captured"]) == (
        public_id(Prefix.PAYMENT, spoilt), 900, 1000,
    )  # fmt: skip
    standing = await shop.shown()
    [found] = standing.data
    assert (found.payment, found.payment_captured, found.ledger_captured) == (line["payment"], 900, 1000)
    counted = {series.name: count for series, count in shop.services.tallies().items()}
    assert (counted[CHECKED], counted[DISCREPANCIES]) == (6 + 0, 1)

    # It is told once, looked at again with each run, and resolved when it agrees.
    with capture_logs() as logs:
        assert (await check.run()).found == 0
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert len((await shop.shown()).data) == 1
    await shop.connection.execute("UPDATE payments SET amount_captured = 1000 WHERE id = $1", spoilt)
    await check.run()
    assert (await shop.shown()).data == []
    [kept] = await shop.connection.fetch("SELECT resolved_at FROM ledger_discrepancies")
    assert kept["resolved_at"] is not None

    # The same payment can be found anew, by a posting in another currency and by one that has no payment.
    stray = new_id()
    await shop.connection.execute(
        "INSERT INTO ledger_postings SELECT $1, unnest($2::uuid[]), $3, 1, 'processor_receivable', 'merchant_payable',"
        " 5, 'EUR', now()",
        shop.merchant.merchant_id, [spoilt, stray], new_id(),
    )  # fmt: skip
    await shop.connection.execute(
        "INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)"
        " SELECT $1, gen_random_uuid(), false, 'payment.captured', unnest($2::uuid[]), 99, '{}', now()",
        shop.merchant.merchant_id, [spoilt, stray],
    )  # fmt: skip
    assert (await check.run()).found == 2
    shown = {each.payment: each for each in (await shop.shown()).data}
    assert shown[public_id(Prefix.PAYMENT, spoilt)].other_currencies == 1
    assert shown[public_id(Prefix.PAYMENT, stray)].payment_captured is None


async def test_a_transaction_that_commits_late_is_not_passed(shop: Shop) -> None:
    """The check stops before it, though later ones have committed, and finds it in the end."""
    check = shop.services.ledger_check
    await check.run()
    late_payment = await shop.pay()
    await check.run()
    late = shop.connection.transaction()
    await late.start()
    await shop.connection.execute("UPDATE payments SET amount_captured = 1 WHERE id = $1", late_payment)
    await shop.connection.execute(
        "INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)"
        " VALUES ($1, $2, false, 'payment.updated', $3, 50, '{}', now())",
        shop.merchant.merchant_id, new_id(), late_payment,
    )  # fmt: skip
    for _ in range(3):
        await shop.pay()
    assert (await check.run()).payments == 0
    await late.commit()
    total = await check.run()
    assert (total.payments, total.found) == (4, 1)
    assert (await check.run()).payments == 1  # The one that is known, and no other.


async def test_parts_miss_and_repeat_nothing(shop: Shop) -> None:
    """With parts of three events, and over a run that ended half way."""
    check = shop.services.ledger_check
    for _ in range(20):
        await shop.pay()
    halted = await check.run(run_max_s=0.0)
    assert (halted.payments, halted.is_complete) == (0, False)
    positions: list[int] = []
    total = await check.run(lambda done, _: positions.append(done), events_max=3)
    assert (total.payments, total.is_complete) == (20, True)
    assert positions == sorted(set(positions))
    assert len(positions) > 5


async def test_changed_payments_are_found_by_their_blocks(shop: Shop) -> None:
    """A part of a large table of events is read, not all of it."""
    await shop.connection.execute(
        "INSERT INTO events SELECT $1, gen_random_uuid(), false, 'payment.captured', gen_random_uuid(), 1, '{}', now(),"
        " (n / 10)::text::xid8 FROM generate_series(1, 200000) AS n",
        shop.merchant.merchant_id,
    )
    await shop.connection.execute("VACUUM ANALYZE events")
    plan = await shop.connection.fetch(
        "EXPLAIN SELECT merchant_id FROM events WHERE (xid::text)::bigint >= 100 AND (xid::text)::bigint < 300"
    )
    assert "events_by_xid" in "\n".join(row[0] for row in plan)
