"""Keys are forgotten when their answer is old, never before, and never all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from serve_app.attempts.intent import Owner
from serve_app.attempts.rows import ClaimKey
from serve_app.domain.attempt import AttemptState
from serve_app.domain.errors import IdempotencyMismatch
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import new_id
from serve_app.services import Services
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE, TestPostgres


@dataclass(frozen=True)
class Shop:
    """A merchant with keys, and the database as its owner sees it."""

    services: Services
    merchant: Owner
    connection: asyncpg.Connection

    async def pay(self, key: str, *, claimed_h: float = 0, answered_h: float | None = 0) -> None:
        """Pay under a key that was claimed and answered so many hours ago; None: it is not answered yet."""
        answer = await self.services.payments.create(self.merchant, new_payment(), Claim(key, b"f" * 16))
        assert answer.state is AttemptState.SUCCEEDED
        await self.connection.execute(
            "UPDATE idempotency_keys SET created_at = now() - make_interval(secs => $2) WHERE key = $1",
            key,
            claimed_h * 3600,
        )
        state, ago_s = ("unknown", None) if answered_h is None else ("succeeded", answered_h * 3600)
        await self.connection.execute(
            "UPDATE attempts SET state = $2, finished_at = now() - make_interval(secs => $3) WHERE payment_id = $1",
            answer.payment_id,
            state,
            ago_s,
        )

    async def keys(self) -> set[str]:
        """Return the merchant's keys that are left."""
        rows = await self.connection.fetch(
            "SELECT key FROM idempotency_keys WHERE merchant_id = $1", self.merchant.merchant_id
        )
        return {row["key"] for row in rows}


@pytest.fixture
async def shop(postgres: TestPostgres) -> AsyncIterator[Shop]:
    """Open a shop whose keys are kept for a day."""
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("DELETE FROM idempotency_keys")
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        yield Shop(services, owner(new_id(), new_id()), connection)
    # What the tests left open is no business of others.
    await connection.execute(
        "UPDATE attempts SET state = 'succeeded', finished_at = now() WHERE state = 'unknown' AND finished_at IS NULL"
    )
    await connection.close()


async def test_a_key_goes_a_day_after_its_answer(shop: Shop) -> None:
    """Not while its attempt is open, however old it is; nor right after an answer that took days."""
    await shop.pay("old", claimed_h=25, answered_h=24.5)
    await shop.pay("young", claimed_h=23, answered_h=23)
    await shop.pay("late", claimed_h=99, answered_h=1)
    await shop.pay("open", claimed_h=99, answered_h=None)
    assert await shop.services.key_retention.run() == 1
    assert await shop.keys() == {"young", "late", "open"}


async def test_a_key_that_is_kept_still_answers(shop: Shop) -> None:
    """It replays, and refuses another request; one that is gone stands for a new payment."""
    await shop.pay("kept", claimed_h=23, answered_h=23)
    await shop.pay("gone", claimed_h=25, answered_h=25)
    await shop.services.key_retention.run()
    create = shop.services.payments.create
    assert (await create(shop.merchant, new_payment(), Claim("kept", b"f" * 16))).replayed
    with pytest.raises(IdempotencyMismatch):
        await create(shop.merchant, new_payment(), Claim("kept", b"g" * 16))
    assert not (await create(shop.merchant, new_payment(), Claim("gone", b"f" * 16))).replayed


async def test_a_run_is_bounded_and_goes_in_batches(shop: Shop) -> None:
    """The next one goes on."""
    for number in range(12):
        await shop.pay(f"k{number}", claimed_h=30, answered_h=30)
    told: list[int] = []
    run = shop.services.key_retention.run
    assert await run(told.append, batch_max=2, listed_max=5, lists_max=2) == 10
    assert told == [2, 4, 5, 7, 9, 10]
    assert await run() == 2
    assert await run() == 0


async def test_a_key_that_was_claimed_anew_meanwhile_stays(shop: Shop) -> None:
    """The delete looks at its age once more."""
    await shop.pay("freed", claimed_h=30, answered_h=30)
    claim = ClaimKey(shop.merchant.merchant_id, False, "freed")
    await shop.connection.execute("UPDATE idempotency_keys SET created_at = now() WHERE key = 'freed'")
    tag = await shop.services.database.execute(
        shop.services.key_retention._delete_sql,
        [claim.merchant_id], [claim.livemode], [claim.key],
        await shop.connection.fetchval("SELECT now() - interval '1 day'"),
    )  # fmt: skip
    assert tag == "DELETE 0"


async def test_old_keys_are_found_by_their_blocks(shop: Shop) -> None:
    """A hundredth of the keys is old: the rest of the table is not read."""
    merchant = UUID(int=7)
    await shop.connection.execute(
        "INSERT INTO idempotency_keys SELECT $1, false, 'n' || n, 'f', gen_random_uuid(), gen_random_uuid(),"
        " now() - interval '25 hours' + make_interval(secs => n) FROM generate_series(1, 100000) AS n",
        merchant,
    )
    await shop.connection.execute("VACUUM ANALYZE idempotency_keys")
    plan = await shop.connection.fetch(
        f"EXPLAIN (ANALYZE) {shop.services.key_retention._list_sql.rstrip(';')}".replace(
            "$1", "(now() - interval '24 hours 50 minutes')"
        ).replace("$2", "20000")
    )
    text = "\n".join(row[0] for row in plan)
    await shop.connection.execute("DELETE FROM idempotency_keys WHERE merchant_id = $1", merchant)
    assert "idempotency_keys_by_age" in text, text
