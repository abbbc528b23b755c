"""Authorizations that are too old are voided as a merchant would void them, once, and never against a capture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic_core import from_json

from serve_app.attempts.answer import Answer
from serve_app.attempts.intent import Owner
from serve_app.domain.attempt import AttemptState
from serve_app.domain.ids import new_id
from serve_app.expiry.authorizations import REQUEST_ID
from serve_app.services import Services
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE, TestPostgres


@dataclass(frozen=True)
class Shop:
    """A merchant, and the database as its owner sees it."""

    services: Services
    merchant: Owner
    connection: asyncpg.Connection

    async def authorize(self, *, days_ago: float) -> UUID:
        """Authorize a payment and let that have been so long ago."""
        answer = await self.services.payments.create(self.merchant, new_payment(capture=False), None)
        assert answer.state is AttemptState.SUCCEEDED
        await self.connection.execute(
            "UPDATE payments SET authorized_at = authorized_at - make_interval(secs => $2) WHERE id = $1",
            answer.payment_id,
            days_ago * 86400,
        )
        return answer.payment_id

    async def status(self, payment_id: UUID) -> str:
        """Return the payment's status as its merchant reads it."""
        return str(from_json(await self.services.payments.get(self.merchant, payment_id))["status"])

    async def rows(self, sql: str) -> list[Any]:
        """Return the merchant's rows."""
        return list(await self.connection.fetch(sql, self.merchant.merchant_id))


@pytest.fixture
async def shop(postgres: TestPostgres) -> AsyncIterator[Shop]:
    """Open a shop whose authorizations live for seven days; nobody else's are left over."""
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("UPDATE payments SET authorized_at = NULL")
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        yield Shop(services, owner(new_id(), new_id()), connection)
    await connection.close()


async def test_old_ones_are_voided_and_young_ones_are_not(shop: Shop) -> None:
    """With an attempt, an event and an audit entry of the gateway itself."""
    old, young = await shop.authorize(days_ago=7.1), await shop.authorize(days_ago=6.9)
    total = await shop.services.authorization_expiry.run()
    assert (total.voided, total.left, total.overtaken) == (1, 0, 0)
    assert (await shop.status(old), await shop.status(young)) == ("voided", "authorized")
    events = await shop.rows("SELECT type FROM events WHERE merchant_id = $1 ORDER BY id")
    assert [event["type"] for event in events].count("payment.voided") == 1
    [entry] = from_json(
        await shop.services.audit.page(shop.merchant.merchant_id, False, before=None, subject=None, limit=1)
    )["data"]
    assert (entry["action"], entry["api_key"], entry["request_id"]) == ("payment.void", None, REQUEST_ID)


async def test_a_run_finds_nothing_of_the_last_one(shop: Shop) -> None:
    """And two at once void each payment once."""
    payments = [await shop.authorize(days_ago=8) for _ in range(10)]
    first, second = await asyncio.gather(
        shop.services.authorization_expiry.run(page_max=3), shop.services.authorization_expiry.run(page_max=3)
    )
    assert first.voided + second.voided == len(payments)
    assert (await shop.services.authorization_expiry.run()).voided == 0
    voids = await shop.rows("SELECT FROM attempts WHERE merchant_id = $1 AND kind = 'void'")
    assert len(voids) == len(payments)


async def test_pages_bound_a_run(shop: Shop) -> None:
    """The oldest go first, and the next run goes on."""
    payments = [await shop.authorize(days_ago=20 - day) for day in range(5)]
    assert (await shop.services.authorization_expiry.run(page_max=2, pages_max=2)).voided == 4
    assert [await shop.status(each) for each in payments] == ["voided"] * 4 + ["authorized"]
    assert (await shop.services.authorization_expiry.run(page_max=2, pages_max=2)).voided == 1


async def test_what_another_operation_has_in_hand_is_let_be(shop: Shop) -> None:
    """The void is not even tried while a capture runs."""
    payment_id = await shop.authorize(days_ago=8)
    await shop.connection.execute("UPDATE payments SET pending_attempt = $2 WHERE id = $1", payment_id, new_id())
    total = await shop.services.authorization_expiry.run()
    assert (total.voided, total.overtaken, total.left) == (0, 0, 0)
    assert await shop.rows("SELECT FROM attempts WHERE merchant_id = $1 AND kind = 'void'") == []


async def test_of_a_capture_and_the_void_one_wins(shop: Shop) -> None:
    """Whichever began first; the other one is refused and moves nothing."""
    payment_id = await shop.authorize(days_ago=8)
    races = await asyncio.gather(
        shop.services.payments.capture(shop.merchant, payment_id, None, None),
        shop.services.authorization_expiry.run(),
        return_exceptions=True,
    )
    captured = isinstance(races[0], Answer) and races[0].state is AttemptState.SUCCEEDED
    assert await shop.status(payment_id) == ("captured" if captured else "voided")
    moved = await shop.rows("SELECT kind FROM attempts WHERE merchant_id = $1 AND state = 'succeeded' ORDER BY id")
    assert len(moved) == 2
    assert (await shop.services.authorization_expiry.run()).voided == 0


async def test_one_that_is_captured_or_voided_is_no_authorization_any_more(shop: Shop) -> None:
    """The column that the index is about is empty for all but those that wait."""
    captured, voided = await shop.authorize(days_ago=8), await shop.authorize(days_ago=8)
    await shop.services.payments.capture(shop.merchant, captured, 300, None)
    await shop.services.payments.void(shop.merchant, voided, None)
    await shop.services.payments.create(shop.merchant, new_payment(), None)
    rows = await shop.rows("SELECT FROM payments WHERE merchant_id = $1 AND authorized_at IS NOT NULL")
    assert rows == []


async def test_what_cannot_be_done_now_is_left(shop: Shop) -> None:
    """Its processor is not configured any more: the run ends after one page of such."""
    payments = [await shop.authorize(days_ago=8) for _ in range(3)]
    await shop.connection.execute("UPDATE payments SET processor = 'gone' WHERE id = ANY ($1)", payments)
    total = await shop.services.authorization_expiry.run(page_max=2, pages_max=10)
    assert (total.voided, total.left) == (0, 2)


async def test_what_the_processor_refused_is_tried_again_a_day_later(shop: Shop) -> None:
    """Not with each run: every try is an attempt and an event."""
    payment_id = await shop.authorize(days_ago=8)
    await shop.connection.execute("UPDATE payments SET processor_reference = NULL WHERE id = $1", payment_id)
    assert (await shop.services.authorization_expiry.run()).refused == 1
    assert (await shop.services.authorization_expiry.run()).refused == 0
    assert await shop.status(payment_id) == "authorized"
    await shop.connection.execute(
        "UPDATE attempts SET finished_at = finished_at - interval '25 hours' WHERE payment_id = $1", payment_id
    )
    assert (await shop.services.authorization_expiry.run()).refused == 1


async def test_a_page_is_read_from_its_index(shop: Shop) -> None:
    """However many payments there are, and however many were captured."""
    await shop.authorize(days_ago=8)
    await shop.connection.execute("ANALYZE payments")
    await shop.connection.execute("SET enable_seqscan = off")
    plan = await shop.connection.fetch(
        "EXPLAIN SELECT merchant_id, id FROM payments WHERE authorized_at < now() AND pending_attempt IS NULL"
        " ORDER BY authorized_at, merchant_id, id LIMIT 100"
    )
    text = "\n".join(row[0] for row in plan)
    assert "payments_authorized" in text
    assert "Sort" not in text


async def test_a_payment_that_is_taken_at_once_touches_no_index_when_it_is_concluded(shop: Shop) -> None:
    """What the index is about does not change for it, so its row stays on its page (HOT)."""
    count = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'payments'"

    async def updates() -> tuple[int, int]:
        await shop.services.database.fetch("SELECT pg_stat_force_next_flush()")
        row = await shop.connection.fetchrow(count)
        return row["n_tup_upd"], row["n_tup_hot_upd"]

    before = await updates()
    for _ in range(20):
        await shop.services.payments.create(shop.merchant, new_payment(), None)
    async with asyncio.timeout(10):
        while (after := await updates())[0] - before[0] < 20:
            await asyncio.sleep(0.05)
    assert after[1] - before[1] >= 15
