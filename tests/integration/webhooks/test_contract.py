"""Endpoints, deliveries and events over HTTP, through the whole application."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from serve_app.domain.ids import new_id
from serve_app.webhooks.repository import ENDPOINTS_MAX
from serve_app.webhooks.schemas import (
    DeliveryDetail,
    DeliveryPage,
    EndpointPage,
    EndpointView,
    EndpointWithSecret,
    EventPage,
    EventView,
    RedeliveryView,
)
from tests.integration.webhooks.conftest import Shop
from tests.support.webhook_receiver import receiving

_URL = "http://127.0.0.1:9/hooks"


async def _create(shop: Shop, **members: Any) -> Any:
    body = {"url": _URL, "events": ["*"], **members}
    return await shop.call("POST", "/v1/webhook_endpoints", json.dumps(body).encode())


async def _audited(shop: Shop, endpoint_id: str) -> list[str]:
    query = f"object_id={endpoint_id}".encode()
    return [each["action"] for each in (await shop.call("GET", "/v1/audit_log", query=query)).json["data"]]


async def test_an_endpoint_is_made_read_changed_and_deleted(shop: Shop) -> None:
    """Its secret is in the answer that makes it, and nowhere else; each change is in the audit trail."""
    made = await _create(shop, events=["refund.failed", "payment.captured"], description="Books")
    assert made.status == 201
    EndpointWithSecret.model_validate(made.json)
    one = f"/v1/webhook_endpoints/{made.json['id']}"
    secret = made.json["secret"]
    assert secret.startswith("whsec_")
    expected = {name: value for name, value in made.json.items() if name != "secret"}
    assert expected["events"] == ["payment.captured", "refund.failed"]

    read = await shop.call("GET", one)
    assert (read.status, read.json) == (200, expected)
    EndpointView.model_validate(read.json)
    listed = await shop.call("GET", "/v1/webhook_endpoints")
    assert listed.json == {"data": [expected], "has_more": False}
    EndpointPage.model_validate(listed.json)

    changed = await shop.call("PATCH", one, b'{"enabled":false,"description":null}')
    assert (changed.json["enabled"], changed.json["disabled_reason"]) == (False, "merchant")
    assert (changed.json["description"], changed.json["url"]) == (None, _URL)
    enabled = await shop.call("PATCH", one, b'{"enabled":true}')
    assert (enabled.json["enabled"], enabled.json["disabled_reason"]) == (True, None)
    moved = await shop.call("PATCH", one, b'{"url":"http://127.0.0.1:10/","events":["*"]}')
    assert (moved.json["url"], moved.json["events"]) == ("http://127.0.0.1:10/", ["*"])

    rotated = await shop.call("POST", f"{one}/rotate_secret")
    assert rotated.status == 200
    assert rotated.json["secret"] not in (secret, None)
    until = datetime.fromisoformat(rotated.json["previous_secret_until"])
    assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)

    deleted = await shop.call("DELETE", one)
    assert (deleted.status, deleted.body, deleted.header("content-length")) == (204, b"", None)
    assert (await shop.call("GET", one)).status == 404
    assert (await shop.call("DELETE", one)).status == 404
    assert await _audited(shop, made.json["id"]) == [
        "webhook_endpoint.delete",
        "webhook_endpoint.rotate_secret",
        "webhook_endpoint.update",
        "webhook_endpoint.enable",
        "webhook_endpoint.disable",
        "webhook_endpoint.create",
    ]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "http://2130706433/"}, "url"),
        ({"url": "https://user:secret@example.com/"}, "url"),
        ({"url": "https://example.com/4242424242424242"}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"url": "https://example.com/" + "a" * 2048}, "url"),
        ({"events": []}, "events"),
        ({"events": ["payment.unheard"]}, "events"),
        ({"events": ["*", "payment.captured"]}, "events"),
        ({"events": ["webhook_endpoint.ping"]}, "events"),
        ({"events": "*"}, "events"),
        ({"description": "4242 4242 4242 4242"}, "description"),
        ({"description": "a\x00b"}, "description"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_what_is_wrong_is_named(shop: Shop, members: dict[str, Any], field: str) -> None:
    """422, without the value."""
    answer = await _create(shop, **members)
    assert (answer.status, answer.json["code"]) == (422, "validation_failed")
    assert [error["field"].split(".")[0] for error in answer.json["errors"]] == [field]
    assert (await shop.call("GET", "/v1/webhook_endpoints")).json["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", b'{"url":null}'),
        ("PATCH", "", b'{"enabled":"yes"}'),
        ("PATCH", "", b'{"url":"http://192.168.0.1/"}'),
        ("POST", "/rotate_secret", b'{"overlap_s":-1}'),
        ("POST", "/rotate_secret", b'{"overlap_s":604801}'),
        ("POST", "/redeliver", b"{}"),
        ("POST", "/redeliver", b'{"since":"yesterday"}'),
        ("POST", "/redeliver", b'{"since":"2026-01-01T00:00:00"}'),
        ("POST", "/redeliver", b'{"since":"2020-01-01T00:00:00Z"}'),
        ("POST", "/ping", b'{"a":1}'),
    ],
)
async def test_a_change_that_is_wrong_changes_nothing(shop: Shop, method: str, path: str, body: bytes) -> None:
    """422, and the endpoint is as it was."""
    made = (await _create(shop)).json
    one = f"/v1/webhook_endpoints/{made['id']}"
    before = (await shop.call("GET", one)).json
    refused = await shop.call(method, one + path, body)
    assert refused.status in (400, 422), refused.json
    assert (await shop.call("GET", one)).json == before
    assert await _audited(shop, made["id"]) == ["webhook_endpoint.create"]


async def test_a_merchant_has_so_many_endpoints_and_no_more(shop: Shop) -> None:
    """Each costs every event a look."""
    assert [(await _create(shop)).status for _ in range(ENDPOINTS_MAX)] == [201] * ENDPOINTS_MAX
    refused = await _create(shop)
    assert (refused.status, refused.json["code"]) == (409, "conflict")


async def test_a_disabled_endpoint_takes_no_pings_and_no_redeliveries(shop: Shop) -> None:
    """409, which says to enable it."""
    made = (await _create(shop)).json
    one = f"/v1/webhook_endpoints/{made['id']}"
    await shop.call("PATCH", one, b'{"enabled":false}')
    since = json.dumps({"since": datetime.now(UTC).isoformat()}).encode()
    for path, body in (("ping", b""), ("redeliver", since)):
        refused = await shop.call("POST", f"{one}/{path}", body)
        assert (refused.status, refused.json["code"]) == (409, "conflict")


async def test_the_log_is_listed_by_what_it_is_asked_for(shop: Shop) -> None:
    """Endpoint, event, status and page."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver)
        for _ in range(3):
            await shop.pay()
        pending = await shop.deliveries(status="pending")
        await shop.run_tasks()
        page = await shop.call("GET", "/v1/webhook_deliveries", query=b"limit=2")
        DeliveryPage.model_validate(page.json)
        assert (len(page.json["data"]), page.json["has_more"]) == (2, True)
        [last] = await shop.deliveries(starting_after=page.json["data"][-1]["id"])
        ids = [each["id"] for each in [*page.json["data"], last]]
        assert ids == sorted(ids, reverse=True)
        assert [each["id"] for each in pending] == ids
        assert [each["id"] for each in await shop.deliveries(event=last["event"])] == [last["id"]]
        assert len(await shop.deliveries(endpoint=f"we_{endpoint.id.hex}", status="succeeded")) == 3
        assert await shop.deliveries(endpoint=f"we_{new_id().hex}") == []
        assert await shop.deliveries(status="failed") == []
        detail = await shop.call("GET", f"/v1/webhook_deliveries/{last['id']}")
        DeliveryDetail.model_validate(detail.json)
        for query in (b"endpoint=x", b"event=x", b"status=x", b"starting_after=x", b"limit=0", b"a=b"):
            assert (await shop.call("GET", "/v1/webhook_deliveries", query=query)).status == 422, query


async def test_answers_are_as_documented(shop: Shop) -> None:
    """The feed, an event and a redelivery, by the models of the document."""
    async with receiving() as receiver:
        endpoint = await shop.endpoint(receiver)
        await shop.pay()
        page = await shop.call("GET", "/v1/events")
        EventPage.model_validate(page.json)
        [event] = page.json["data"]
        one = await shop.call("GET", f"/v1/events/{event['id']}")
        EventView.model_validate(one.json)
        assert one.json == event
        body = json.dumps({"since": "2999-01-01T00:00:00+02:00"}).encode()
        path = f"/v1/webhook_endpoints/we_{endpoint.id.hex}/redeliver"
        ordered = await shop.call("POST", path, body)
        RedeliveryView.model_validate(ordered.json)
        assert ordered.json["since"] == "2998-12-31T22:00:00.000000Z"
