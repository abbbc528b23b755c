"""The feed shows every event once, in an order that never changes, however transactions interleave."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID

import asyncpg

from serve_app.domain.ids import new_id
from serve_app.storage.statements import load_statements
from tests.integration.webhooks.conftest import Shop

_INSERT = """
INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at)
VALUES ($1, $2, false, $3, $2, 1, '{"id":"pay_1"}', now())
"""


async def _page(shop: Shop, after: str | None = None, **query: str) -> dict[str, Any]:
    if after is not None:
        query["after"] = after
    text = "&".join(f"{name}={value}" for name, value in query.items()).encode()
    page: dict[str, Any] = (await shop.call("GET", "/v1/events", query=text)).json
    return page


async def _tell(connection: asyncpg.Connection, shop: Shop, type: str = "payment.failed") -> UUID:
    event_id = new_id()
    await connection.execute(_INSERT, shop.owner.merchant_id, event_id, type)
    return event_id


async def test_pages_follow_each_other(shop: Shop) -> None:
    """Without overlap, to the end, which is told; the order is the same each time."""
    paid = [await shop.pay() for _ in range(5)]
    first = await _page(shop, limit="2")
    second = await _page(shop, first["data"][-1]["id"], limit="2")
    third = await _page(shop, second["data"][-1]["id"], limit="2")
    found = [each for page in (first, second, third) for each in page["data"]]
    assert [each["data"]["id"] for each in found] == paid
    assert [page["has_more"] for page in (first, second, third)] == [True, True, False]
    assert (await _page(shop, found[-1]["id"]))["data"] == []
    assert (await _page(shop))["data"] == found


async def test_a_type_can_be_asked_for(shop: Shop) -> None:
    """Alone."""
    await shop.pay()
    await shop.pay(capture=False)
    [event] = (await _page(shop, type="payment.authorized"))["data"]
    assert event["type"] == "payment.authorized"


async def test_what_commits_late_is_not_skipped(shop: Shop) -> None:
    """A transaction that began first and commits last holds the feed up for as long, and no longer."""
    slow = await asyncpg.connect(shop.postgres.url())
    quick = await asyncpg.connect(shop.postgres.url())
    transaction = slow.transaction()
    await transaction.start()
    late = await _tell(slow, shop)
    early = await _tell(quick, shop)
    assert (await _page(shop))["data"] == []
    await transaction.commit()
    assert [each["id"] for each in (await _page(shop))["data"]] == [f"evt_{late.hex}", f"evt_{early.hex}"]
    await slow.close()
    await quick.close()


async def test_a_reader_who_pages_while_many_write_misses_nothing(shop: Shop) -> None:
    """Transactions of random length, some rolled back, read all the while page by page."""
    written: set[str] = set()
    done = asyncio.Event()
    seed = random.randrange(1 << 30)
    print("seed", seed)

    async def write(drawn: random.Random) -> None:
        connection = await asyncpg.connect(shop.postgres.url())
        for _ in range(25):
            transaction = connection.transaction()
            await transaction.start()
            ids = [await _tell(connection, shop) for _ in range(drawn.randrange(1, 4))]
            await asyncio.sleep(drawn.random() * 0.02)
            if drawn.random() < 0.2:
                await transaction.rollback()
                continue
            await transaction.commit()
            written.update(f"evt_{each.hex}" for each in ids)
        await connection.close()

    async def read() -> list[str]:
        found: list[str] = []
        while True:
            finished = done.is_set()
            page = await _page(shop, found[-1] if found else None, limit="7")
            found += [each["id"] for each in page["data"]]
            if finished and not page["data"]:
                return found

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(random.Random(seed + each)) for each in range(6)))
    done.set()
    async with asyncio.timeout(30):
        found = await reading
    assert len(found) == len(set(found))
    assert set(found) == written


async def test_an_event_of_nobody_is_no_place_to_go_on_from(shop: Shop) -> None:
    """404 for one that there is not, or that is another merchant's; 422 for what is no id."""
    connection = await asyncpg.connect(shop.postgres.url())
    other = new_id()
    await connection.execute(_INSERT, new_id(), other, "payment.failed")
    await connection.close()
    for text, status in ((f"evt_{other.hex}", 404), (f"evt_{new_id().hex}", 404), ("evt_1", 422), ("pay_1", 422)):
        assert (await shop.call("GET", "/v1/events", query=f"after={text}".encode())).status == status
    assert (await shop.call("GET", f"/v1/events/evt_{other.hex}")).status == 404


async def test_the_feed_is_read_by_its_index(shop: Shop) -> None:
    """In the order in which it lies there: nothing is sorted and nothing of others is read."""
    sql = load_statements("serve_app.webhooks")["feed_after"]
    connection = await asyncpg.connect(shop.postgres.url())
    await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
    statement = await connection.prepare(sql)
    plan = str(await statement.explain(shop.owner.merchant_id, False, None, 100, "5", new_id()))
    await connection.close()
    assert "events_feed" in plan
    assert "Sort" not in plan
