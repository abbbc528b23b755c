"""The books and the audit trail cannot be changed, and the tables refuse what the rules forbid."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from serve_app.domain.ids import new_id
from serve_app.storage.migrate import upgrade
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE, TestPostgres

_CHANGES = [
    "UPDATE ledger_postings SET amount = amount + 1",
    "DELETE FROM ledger_postings",
    "TRUNCATE ledger_postings",
    "UPDATE audit_entries SET action = 'nothing'",
    "DELETE FROM audit_entries",
    "TRUNCATE audit_entries",
]


@pytest.fixture(scope="module", autouse=True)
def _a_payment(postgres: TestPostgres) -> None:
    async def pay() -> None:
        async with gateway_services(postgres.url(APP_ROLE)) as services:
            merchant = new_id()
            await services.payments.create(owner(merchant, merchant), new_payment(), None)

    asyncio.run(pay())


@pytest.mark.parametrize("statement", _CHANGES)
async def test_the_gateway_s_role_may_not_change_them(postgres: TestPostgres, statement: str) -> None:
    """It has no right to."""
    connection = await asyncpg.connect(postgres.url(APP_ROLE))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("statement", _CHANGES)
async def test_not_even_their_owner_changes_them_by_accident(postgres: TestPostgres, statement: str) -> None:
    """A trigger refuses it."""
    connection = await asyncpg.connect(postgres.url())
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "amount_refunded = amount_captured + 1",
        "amount_captured = amount + 1",
        "amount_refund_pending = amount_captured + 1",
        "status = 'lost'",
        "currency = 'usd'",
    ],
)
async def test_a_payment_that_breaks_the_rules_cannot_be_stored(postgres: TestPostgres, change: str) -> None:
    """The database is the last to check, whatever the program believes."""
    connection = await asyncpg.connect(postgres.url())
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"UPDATE payments SET {change}")
    await connection.close()


async def test_every_posting_balances_in_its_currency(postgres: TestPostgres) -> None:
    """Each posting has two entries of opposite sign, and one that would not balance cannot be written."""
    connection = await asyncpg.connect(postgres.url())
    sums = await connection.fetch(
        "SELECT currency, sum(amount) AS total, count(*) FROM ledger_entries GROUP BY currency"
    )
    assert sums
    assert all(row["total"] == 0 and row["count"] % 2 == 0 for row in sums)
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "INSERT INTO ledger_postings VALUES ($1, $1, $1, 0, 'a', 'a', 5, 'USD', now())", new_id()
        )
    await connection.close()


async def test_migrating_again_changes_nothing(postgres: TestPostgres) -> None:
    """Also from several places at once."""
    await asyncio.gather(*(upgrade(postgres.url(), APP_ROLE) for _ in range(3)))
