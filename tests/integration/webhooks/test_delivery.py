"""The life of a delivery: tried, recorded, tried again, given up, and begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.runtime.clock import SystemClock
from serve_app.domain.ids import Prefix
from serve_app.webhooks.deliverer import Again, Deliverer
from serve_app.webhooks.deliveries import DeliveryRepository
from serve_app.webhooks.message import Event
from serve_app.webhooks.reply import Reply
from serve_app.webhooks.repository import EndpointChange, EndpointRepository
from serve_app.webhooks.rows import DeliveryKey
from serve_app.webhooks.schedule import FAILING_FOR_S, JITTER, STEPS_S, TRIES_MAX
from serve_app.webhooks.secrets import SecretBox
from tests.integration.webhooks.conftest import Shop, uuid_of
from tests.support.gateway_services import WEBHOOK_KEY
from tests.support.webhook_receiver import Answer, failing, receiving

_DUE = "UPDATE webhook_deliveries SET next_try_at = now() WHERE merchant_id = $1 AND status = 'pending'"
_FAILING_SINCE = "UPDATE webhook_endpoints SET failing_since = $2 WHERE merchant_id = $1"


async def _run_all_that_is_due(shop: Shop, rounds: int) -> None:
    for _ in range(rounds):
        await shop.execute(_DUE, shop.owner.merchant_id)
        await shop.run_tasks()


async def _one(shop: Shop) -> dict[str, Any]:
    [delivery] = await shop.deliveries()
    detail: dict[str, Any] = (await shop.call("GET", f"/v1/webhook_deliveries/{delivery['id']}")).json
    return detail


async def test_the_log_shows_what_was_sent_and_what_came_back(shop: Shop) -> None:
    """The request, the answer's code and first bytes, how long it took, and that nothing follows."""
    async with receiving(lambda _: Answer(201, body=b"thanks")) as receiver:
        await shop.endpoint(receiver)
        await shop.pay()
        await shop.run_tasks()
        detail = await _one(shop)
        [attempt] = detail["attempts"]
        [received] = receiver.received
        assert (detail["status"], detail["tries"], detail["next_try_at"]) == ("succeeded", 1, None)
        assert (attempt["response_code"], attempt["response_body"], attempt["error"]) == (201, "thanks", None)
        assert 0 <= attempt["duration_ms"] < 15_000
        assert attempt["request"]["url"] == receiver.url
        assert attempt["request"]["headers"] == {
            name: received.headers[name] for name in ("webhook-id", "webhook-timestamp")
        }
        event = await shop.call("GET", f"/v1/events/{detail['event']}")
        assert event.body.decode() == detail["request_body"]
        assert event.json == received.event


async def test_a_failure_is_tried_again_after_its_pause(shop: Shop) -> None:
    """The same event under the same id, until it arrives; not before its time."""
    codes = iter([500, 302, 204])
    async with receiving(lambda _: Answer(next(codes), body=b"no")) as receiver:
        await shop.endpoint(receiver)
        await shop.pay()
        [first] = await shop.run_tasks()
        assert first.again_after_s is not None
        assert STEPS_S[0] <= first.again_after_s <= STEPS_S[0] * (1 + JITTER)
        pending = await _one(shop)
        assert (pending["status"], pending["response_code"], pending["error"]) == ("pending", 500, "http_500")
        [early] = await shop.run_tasks()
        assert early.again_after_s is not None
        assert early.again_after_s <= first.again_after_s
        assert len(receiver.received) == 1
        await _run_all_that_is_due(shop, 2)
        detail = await _one(shop)
        assert detail["status"] == "succeeded"
        assert [each["response_code"] for each in detail["attempts"]] == [204, 302, 500]
        assert [each["error"] for each in detail["attempts"]] == [None, "redirect_not_followed", "http_500"]
        assert {each.webhook_id for each in receiver.received} == {detail["event"]}


async def test_retry_after_moves_the_next_try(shop: Shop) -> None:
    """The receiver knows better when it can."""
    async with receiving(lambda _: Answer(429, {"retry-after": "600"})) as receiver:
        await shop.endpoint(receiver)
        await shop.pay()
        [ran] = await shop.run_tasks()
        assert ran.again_after_s == 600
        detail = await _one(shop)
        next_try_at = datetime.fromisoformat(detail["next_try_at"])
        assert timedelta(seconds=590) < next_try_at - datetime.now(UTC) <= timedelta(seconds=600)


async def test_a_delivery_that_never_arrives_ends_failed(shop: Shop) -> None:
    """After the whole schedule; its endpoint may have taken others meanwhile."""
    async with receiving(lambda _: Answer(500)) as receiver:
        await shop.endpoint(receiver)
        await shop.pay()
        await _run_all_that_is_due(shop, TRIES_MAX + 1)
        detail = await _one(shop)
        assert (detail["status"], detail["reason"], detail["tries"]) == ("failed", "exhausted", TRIES_MAX)
        assert len(receiver.received) == len(detail["attempts"]) == TRIES_MAX
        assert detail["attempts"][0]["next_try_at"] is None


async def test_of_many_that_fail_at_random_all_arrive(shop: Shop) -> None:
    """With a fifth of the requests failing, each event arrives, verified; more than once only under its own id."""
    async with receiving(failing(0.2, seed=7)) as receiver:
        await shop.endpoint(receiver)
        payments = await asyncio.gather(*(shop.pay() for _ in range(100)))
        await _run_all_that_is_due(shop, TRIES_MAX - 2)
        assert receiver.forged == 0
        assert set(receiver.current()) == set(payments)
        assert len(receiver.received) > len(receiver.taken()) == 100
        assert {each["status"] for each in await shop.deliveries(limit="100")} == {"succeeded"}


async def test_a_dead_endpoint_does_not_hold_up_another(shop: Shop) -> None:
    """Its own deliveries wait for it in a lane of their own."""
    async with receiving() as alive, receiving(lambda _: Answer(503)) as dead:
        await shop.endpoint(dead)
        healthy = await shop.endpoint(alive)
        await asyncio.gather(*(shop.pay() for _ in range(5)))
        await shop.run_tasks()
        assert len(alive.taken()) == 5
        statuses = {each["status"] for each in await shop.deliveries(endpoint=f"we_{healthy.id.hex}")}
        assert statuses == {"succeeded"}


async def _assert_disabled(shop: Shop, endpoint_id: str, reason: str) -> dict[str, Any]:
    """See that the endpoint is disabled, that the feed and the audit trail tell it once, and return what is told."""
    endpoint = (await shop.call("GET", f"/v1/webhook_endpoints/{endpoint_id}")).json
    assert (endpoint["enabled"], endpoint["disabled_reason"]) == (False, reason)
    query = b"type=webhook_endpoint.disabled"
    [event] = (await shop.call("GET", "/v1/events", query=query)).json["data"]
    assert event["data"] == endpoint
    audit = (await shop.call("GET", "/v1/audit_log", query=f"object_id={endpoint_id}".encode())).json["data"]
    [entry] = [each for each in audit if each["action"] == "webhook_endpoint.disable"]
    assert entry["api_key"] is None
    found: dict[str, Any] = event
    return found


async def test_an_endpoint_that_is_gone_is_disabled_with_notice(shop: Shop) -> None:
    """Once, whatever else is on its way to it; the merchant's other endpoints hear of it."""
    async with receiving(lambda _: Answer(410)) as gone, receiving() as other:
        endpoint = await shop.endpoint(gone, "payment.captured")
        await shop.endpoint(other)
        await asyncio.gather(shop.pay(), shop.pay())
        await shop.run_tasks()
        event = await _assert_disabled(shop, f"we_{endpoint.id.hex}", "gone")
        assert len(gone.received) == 1
        reasons = {each["reason"] for each in await shop.deliveries(endpoint=f"we_{endpoint.id.hex}")}
        assert reasons == {"gone", "endpoint_disabled"}
        assert event in [each.event for each in other.taken().values()]


async def test_an_endpoint_that_has_failed_for_three_days_is_disabled(shop: Shop) -> None:
    """Not before, and not where one delivery has arrived in between."""
    working = False
    async with receiving(lambda _: Answer(204 if working else 500)) as receiver:
        endpoint = await shop.endpoint(receiver)
        await shop.pay()
        almost = datetime.now(UTC) - timedelta(seconds=FAILING_FOR_S - 60)
        for expected, state in ((True, False), (True, True), (True, False)):
            working = state
            await _run_all_that_is_due(shop, 1)
            await shop.execute(f"{_FAILING_SINCE} AND failing_since IS NOT NULL", shop.owner.merchant_id, almost)
            current = (await shop.call("GET", f"/v1/webhook_endpoints/we_{endpoint.id.hex}")).json
            assert current["enabled"] is expected
            assert (current["failing_since"] is None) == state
            await shop.pay()
        await shop.execute(_FAILING_SINCE, shop.owner.merchant_id, almost - timedelta(seconds=60))
        await _run_all_that_is_due(shop, 1)
        await _assert_disabled(shop, f"we_{endpoint.id.hex}", "failing")
        assert {each["status"] for each in await shop.deliveries()} == {"failed", "succeeded"}


async def test_an_endpoint_that_is_enabled_again_starts_anew(shop: Shop) -> None:
    """What it did not get is redelivered on request."""
    gone = True
    async with receiving(lambda _: Answer(410 if gone else 204)) as receiver:
        endpoint = await shop.endpoint(receiver)
        await shop.pay()
        await shop.run_tasks()
        missed = await shop.pay()
        gone = False
        enabled = await shop.services.webhooks.change(shop.owner, endpoint.id, EndpointChange(enabled=True))
        assert (enabled.enabled, enabled.disabled_reason, enabled.failing_since) == (True, None, None)
        path = f"/v1/webhook_endpoints/we_{endpoint.id.hex}/redeliver"
        since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        ordered = await shop.call("POST", path, f'{{"since":"{since}"}}'.encode())
        assert ordered.status == 200
        await shop.run_tasks()
        assert missed in receiver.current()
        types = sorted(each.event["type"] for each in receiver.taken().values())
        assert types == ["payment.captured", "payment.captured", "webhook_endpoint.disabled"]


async def test_what_has_arrived_goes_again_only_where_that_is_asked_for(shop: Shop) -> None:
    """By default a redelivery fills gaps."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver, "payment.captured")
        before = datetime.now(UTC)
        await asyncio.gather(shop.pay(), shop.pay(), shop.pay(capture=False))
        await shop.run_tasks()
        path = f"/v1/webhook_endpoints/we_{endpoint.id.hex}/redeliver"
        for body, expected in (
            (f'{{"since":"{before.isoformat()}"}}', 2),
            (f'{{"since":"{before.isoformat()}","include_succeeded":true}}', 4),
            (f'{{"since":"{datetime.now(UTC).isoformat()}","include_succeeded":true}}', 4),
        ):
            assert (await shop.call("POST", path, body.encode())).status == 200
            await shop.run_tasks()
            assert len(receiver.received) == expected
        assert len(receiver.taken()) == 2


async def test_what_waits_for_a_later_try_is_redelivered_at_once(shop: Shop) -> None:
    """Whoever has mended his receiver need not wait for the schedule; the task of before has nothing to do any more."""
    working = False
    async with receiving(lambda _: Answer(204 if working else 500)) as receiver:
        endpoint = await shop.endpoint(receiver, "payment.captured")
        paid = await shop.pay()
        await shop.run_tasks()
        working = True
        since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        path = f"/v1/webhook_endpoints/we_{endpoint.id.hex}/redeliver"
        for _ in range(2):
            assert (await shop.call("POST", path, f'{{"since":"{since}"}}'.encode())).status == 200
            await shop.run_tasks()
            assert [(each.object_id, each.status) for each in receiver.received] == [(paid, 500), (paid, 204)]


async def test_a_redelivery_goes_page_by_page_and_can_be_run_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the events, without one left out or twice."""
    monkeypatch.setattr("serve_app.webhooks.redelivery.PAGE_EVENTS", 3)
    async with receiving() as receiver:
        paid = [await shop.pay() for _ in range(8)]
        endpoint = await shop.endpoint(receiver)
        await shop.services.webhooks.redeliver(
            shop.owner, endpoint.id, datetime.now(UTC) - timedelta(hours=1), include_succeeded=False
        )
        ran = await shop.run_tasks()
        assert [each.name for each in ran] == ["webhooks.redeliver"] + ["webhooks.deliver"] * 8
        assert [each.object_id for each in receiver.received] == paid
        await shop.execute(
            "UPDATE tasks SET state = 'pending', finished_at = NULL WHERE owner = $1 AND name = 'webhooks.redeliver'",
            str(shop.owner.merchant_id),
        )
        assert [each.name for each in await shop.run_tasks()] == ["webhooks.redeliver"]


async def test_a_delivery_can_be_repeated_by_hand(shop: Shop) -> None:
    """One that waits goes at once, and the task that waits for its next try finds that it is of no use any more."""
    working = False
    async with receiving(lambda _: Answer(204 if working else 500)) as receiver:
        await shop.endpoint(receiver)
        await shop.pay()
        await shop.run_tasks()
        [delivery] = await shop.deliveries()
        working = True
        again = await shop.call("POST", f"/v1/webhook_deliveries/{delivery['id']}/retry")
        assert (again.status, again.json["status"], again.json["tries"]) == (200, "pending", 0)
        assert len(await shop.run_tasks()) == 2
        assert [each.status for each in receiver.received] == [500, 204]
        assert (await _one(shop))["status"] == "succeeded"
        assert (await shop.call("POST", f"/v1/webhook_deliveries/{delivery['id']}/retry")).status == 200
        await shop.run_tasks()
        assert len(receiver.received) == 3
        assert len((await _one(shop))["attempts"]) == 3


async def test_a_ping_goes_to_its_endpoint_alone(shop: Shop) -> None:
    """Whatever that asks for."""
    async with receiving() as receiver, receiving() as other:
        endpoint = await shop.endpoint(receiver, "refund.failed")
        await shop.endpoint(other)
        for _ in range(2):
            made = await shop.call("POST", f"/v1/webhook_endpoints/we_{endpoint.id.hex}/ping")
            assert (made.status, made.json["status"]) == (201, "pending")
        await shop.run_tasks()
        sequences = [each.event["sequence"] for each in receiver.received]
        assert [each.event["type"] for each in receiver.received] == ["webhook_endpoint.ping"] * 2
        assert sequences == sorted(set(sequences))
        assert receiver.received[0].object_id == f"we_{endpoint.id.hex}"
        assert other.received == []


async def test_both_secrets_sign_while_one_replaces_the_other(shop: Shop) -> None:
    """Then the new one alone."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver)
        [old] = receiver.secrets
        _, new = await shop.services.webhooks.rotate_secret(shop.owner, endpoint.id, 3600)
        for secret, expired, forged in ((old, False, 0), (new, False, 0), (old, True, 1), (new, True, 1)):
            if expired:
                await shop.execute(
                    "UPDATE webhook_endpoints SET previous_secret_until = now() - interval '1 s' WHERE id = $1",
                    endpoint.id,
                )
            receiver.secrets = [secret]
            await shop.pay()
            await shop.run_tasks()
            assert receiver.forged == forged


async def test_a_secret_is_nowhere_in_the_database(shop: Shop) -> None:
    """It is sealed, and the audit trail and the events do not have it either."""
    async with receiving() as receiver:
        await shop.endpoint(receiver)
        [secret] = receiver.secrets
        bare = secret.removeprefix("whsec_")
        for table in ("webhook_endpoints", "events", "audit_entries"):
            rows = await shop.services.database.fetch(
                f"SELECT {table}::text AS row FROM {table} WHERE merchant_id = $1", shop.owner.merchant_id
            )
            assert all(bare not in row["row"] and bare.encode().hex() not in row["row"] for row in rows)


async def test_the_deliveries_of_an_endpoint_that_was_deleted_end(shop: Shop) -> None:
    """Nothing is sent, and the log says why."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver)
        await shop.pay()
        await shop.services.webhooks.delete(shop.owner, endpoint.id)
        await shop.run_tasks()
        assert receiver.received == []
        [delivery] = await shop.deliveries(status="failed")
        assert delivery["reason"] == "endpoint_deleted"
        refused = await shop.call("POST", f"/v1/webhook_deliveries/{delivery['id']}/retry")
        assert (refused.status, refused.json["code"]) == (409, "conflict")


async def test_two_workers_that_run_the_same_task_do_no_harm(shop: Shop) -> None:
    """A worker that was believed dead and its successor: the delivery moves on once, and both tries are in the log."""
    async with receiving(lambda _: Answer(204, delay_s=0.1)) as receiver:
        await shop.endpoint(receiver)
        await shop.pay()
        [delivery] = await shop.deliveries()
        key = DeliveryKey(shop.owner.merchant_id, uuid_of(Prefix.WEBHOOK_DELIVERY, delivery["id"]))
        deliverer = shop.services.webhook_tasks.deliverer
        assert await asyncio.gather(*(deliverer.deliver(key, 1) for _ in range(2))) == [None, None]
        detail = await _one(shop)
        assert (detail["status"], detail["tries"], len(detail["attempts"])) == ("succeeded", 1, 2)
        assert len(receiver.taken()) == 1


class _Meanwhile:
    """A receiver's last word that arrives after something else has happened."""

    def __init__(self, code: int, happens: Callable[[], Awaitable[object]]) -> None:
        self._code = code
        self._happens = happens

    async def send(self, url: str, event: Event, secrets: list[str], sent_at: datetime) -> Reply:
        """Let it happen, then answer."""
        await self._happens()
        return Reply(1, self._code)


def _deliverer(shop: Shop, sender: _Meanwhile) -> Deliverer:
    database = shop.services.database
    endpoints, deliveries = EndpointRepository(database), DeliveryRepository(database)
    return Deliverer(deliveries, endpoints, sender, SecretBox(WEBHOOK_KEY), SystemClock(), lambda: 0.0)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        (410, "url = 'http://127.0.0.1:9/moved', failing_since = NULL"),
        (500, "url = 'http://127.0.0.1:9/moved', failing_since = NULL"),
        (500, "failing_since = NULL"),
    ],
)
async def test_an_endpoint_that_is_another_by_now_is_not_disabled(shop: Shop, code: int, change: str) -> None:
    """It was moved, or took a delivery, while the one that was tried said its last word: that is tried again."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver)
        await shop.pay()
        long_ago = datetime.now(UTC) - timedelta(seconds=FAILING_FOR_S)
        await shop.execute(_FAILING_SINCE, shop.owner.merchant_id, long_ago)
        [delivery] = await shop.deliveries()
        key = DeliveryKey(shop.owner.merchant_id, uuid_of(Prefix.WEBHOOK_DELIVERY, delivery["id"]))

        async def happens() -> None:
            await shop.execute(f"UPDATE webhook_endpoints SET {change} WHERE id = $1", endpoint.id)

        again = await _deliverer(shop, _Meanwhile(code, happens)).deliver(key, 1)
        assert again == Again(f"http_{code}", STEPS_S[0])
        assert (await shop.services.webhooks.get(shop.owner, endpoint.id)).enabled
        assert (await _one(shop))["status"] == "pending"


async def test_a_change_while_an_endpoint_is_disabled_is_kept(shop: Shop) -> None:
    """What is told is the endpoint as it is then."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver)
        await shop.pay()
        [delivery] = await shop.deliveries()
        key = DeliveryKey(shop.owner.merchant_id, uuid_of(Prefix.WEBHOOK_DELIVERY, delivery["id"]))

        async def happens() -> None:
            change = EndpointChange(describes=True, description="new")
            await shop.services.webhooks.change(shop.owner, endpoint.id, change)

        assert await _deliverer(shop, _Meanwhile(410, happens)).deliver(key, 1) is None
        event = await _assert_disabled(shop, f"we_{endpoint.id.hex}", "gone")
        assert event["data"]["description"] == "new"
