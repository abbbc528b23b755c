"""What happened and its deliveries are committed together, for those who asked for it and nobody else."""

from __future__ import annotations

import pytest

from actors.runtime.errors import RowRejected
from serve_app.domain.ids import Prefix, new_id
from serve_app.payments.service import Change
from serve_app.webhooks.repository import EndpointChange
from tests.integration.webhooks.conftest import Shop, uuid_of
from tests.support.gateway_services import owner
from tests.support.webhook_receiver import receiving


async def _told(shop: Shop) -> list[str]:
    return sorted(each["event_type"] for each in await shop.deliveries())


async def test_an_endpoint_gets_the_types_that_it_asks_for(shop: Shop) -> None:
    """One delivery with one task for each event and endpoint that match."""
    async with receiving() as all_of_it, receiving() as captures:
        everything = await shop.endpoint(all_of_it)
        some = await shop.endpoint(captures, "payment.captured", "refund.failed")
        payment_id = await shop.pay()
        uuid = uuid_of(Prefix.PAYMENT, payment_id)
        await shop.services.refunds.create(shop.owner, uuid, 400, None, None)
        await shop.services.payments.update(shop.owner, uuid, Change(frozenset({"description"}), "new", {}))
        told = await shop.deliveries(endpoint=f"we_{everything.id.hex}")
        assert sorted(each["event_type"] for each in told) == [
            "payment.captured", "payment.partially_refunded", "payment.updated", "refund.succeeded",
        ]  # fmt: skip
        assert [each["event_type"] for each in await shop.deliveries(endpoint=f"we_{some.id.hex}")] == [
            "payment.captured"
        ]
        ran = await shop.run_tasks()
        assert sorted(each.lane or "" for each in ran) == sorted([str(everything.id)] * 4 + [str(some.id)])
        assert {each.name for each in ran} == {"webhooks.deliver"}
        assert len(all_of_it.taken()) == 4
        assert [each.event["type"] for each in captures.taken().values()] == ["payment.captured"]


async def test_an_event_that_arrives_late_is_known_by_its_sequence(shop: Shop) -> None:
    """A receiver that keeps the highest one of each object has the object's last state."""
    async with receiving() as receiver:
        await shop.endpoint(receiver)
        payment_id = await shop.pay(capture=False)
        uuid = uuid_of(Prefix.PAYMENT, payment_id)
        await shop.services.payments.capture(shop.owner, uuid, None, None)
        await shop.run_tasks()
        first, last = sorted(receiver.taken().values(), key=lambda each: each.event["sequence"])
        assert (first.event["data"]["status"], last.event["data"]["status"]) == ("authorized", "captured")
        receiver.received.reverse()
        assert receiver.current()[payment_id] == last.event


async def test_who_makes_tasks_tells_the_scheduler(shop: Shop) -> None:
    """After the commit, and only where there are some."""
    await shop.pay()
    assert shop.pokes == []
    async with receiving() as receiver:
        await shop.endpoint(receiver)
        await shop.pay()
    assert len(shop.pokes) == 1


async def test_others_are_not_told(shop: Shop) -> None:
    """Not another merchant's endpoint, not one of live mode, not one that is disabled or deleted."""
    async with receiving() as receiver:
        disabled = await shop.endpoint(receiver)
        deleted = await shop.endpoint(receiver)
        live = await shop.endpoint(receiver)
        stranger = owner(new_id(), new_id())
        await shop.services.webhooks.create(stranger, receiver.url, ["*"], None)
        await shop.services.webhooks.change(shop.owner, disabled.id, EndpointChange(enabled=False))
        await shop.services.webhooks.delete(shop.owner, deleted.id)
        await shop.execute("UPDATE webhook_endpoints SET livemode = true WHERE id = $1", live.id)
        await shop.pay()
        assert await shop.deliveries() == []
        assert await shop.run_tasks() == []


async def test_a_change_that_is_not_committed_tells_nobody(shop: Shop) -> None:
    """The deliveries and their tasks are part of the statement that fails."""
    async with receiving() as receiver:
        payment = uuid_of(Prefix.PAYMENT, await shop.pay())
        await shop.endpoint(receiver)
        await shop.execute(
            "INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, created_at) "
            "VALUES ($1, $2, false, 'payment.updated', $3, 2, '{}', now())",
            shop.owner.merchant_id,
            new_id(),
            payment,
        )
        with pytest.raises(RowRejected):
            await shop.services.payments.update(shop.owner, payment, Change(frozenset({"description"}), "new", {}))
        assert await shop.deliveries() == []
        assert await shop.run_tasks() == []


async def test_the_timeline_of_a_payment_shows_its_deliveries(shop: Shop) -> None:
    """Each with its tries, after the event that it tells of."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver)
        payment_id = await shop.pay()
        await shop.run_tasks()
        items = (await shop.call("GET", f"/v1/payments/{payment_id}/timeline")).json["data"]
        assert [each["kind"] for each in items][-3:] == ["event", "delivery", "delivery_try"]
        event, delivery, tried = (each["data"] for each in items[-3:])
        assert delivery["event"] == tried["event"] == event["event"]
        assert delivery["endpoint"] == tried["endpoint"] == f"we_{endpoint.id.hex}"
        assert (delivery["status"], tried["response_code"], tried["next_try_at"]) == ("succeeded", 204, None)
