"""The operations page over HTTP, as a browser and as others use it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.console.redis_sessions import PREFIX
from serve_app.merchants.administration import list_keys, revoke_key
from tests.support.operations_page import OperationsPage, entries_once, operations_page
from tests.support.postgres import TestPostgres
from tests.support.redis_servers import TestRedis

_PANELS = {"overview", "alerts", "breakers", "cache", "pool", "tasks", "webhooks", "database"}
_OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture
async def browser(page: OperationsPage) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that is signed in."""
    async with httpx.AsyncClient(base_url=page.url, timeout=30, headers=_OURS) as client:
        await _signed_in(client, page.admin_key)
        yield client


async def _sign_in(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.post("/ops/session", headers={"authorization": f"Bearer {key}"})


async def _signed_in(client: httpx.AsyncClient, key: str) -> None:
    """Sign in, however often a Redis that is late for a second refuses it."""
    async with asyncio.timeout(30):
        while (answer := await _sign_in(client, key)).status_code == 503:
            await asyncio.sleep(float(answer.headers["retry-after"]))
    assert answer.status_code == 200


async def _events(client: httpx.AsyncClient, wanted: set[str]) -> dict[str, Any]:
    """Return the first event of each name that is wanted, and how often the overview came meanwhile."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(30), client.stream("GET", "/ops/events") as answer:
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                found.setdefault(f"away:{data['panel']}" if name == "away" else name, data)
            if wanted <= found.keys():
                return found
    raise AssertionError(f"the stream ended after {sorted(found)}")


async def test_nobody_gets_in_without_an_admin_key(page: OperationsPage) -> None:
    """People are shown where to sign in, and nothing of the gateway; a merchant's key is not enough."""
    async with httpx.AsyncClient(base_url=page.url, headers=_OURS) as client:
        shown = await client.get("/ops")
        assert shown.status_code == 401
        assert "Admin key" in shown.text
        assert shown.headers["cache-control"] == "no-store"
        for path in ("/ops/events", "/ops/session", "/ops/api/overview", "/ops/api/webhooks", "/ops/api/payments/x"):
            assert (await client.get(path)).status_code == 401, path
        assert (await client.post("/ops/session")).status_code == 401
        assert (await _sign_in(client, page.merchant_key)).status_code == 403
        assert not client.cookies
        client.cookies.set("easypay-ops", "A" * 43, path="/ops")
        assert (await client.get("/ops/api/overview")).status_code == 401


async def test_a_session_lets_in_until_it_is_ended(page: OperationsPage, browser: httpx.AsyncClient) -> None:
    """Also who copied its token; signing in again makes another."""
    shown = await browser.get("/ops")
    assert (shown.status_code, "A payment's timeline" in shown.text) == (200, True)
    assert (await browser.get("/ops/session")).json()["object"] == "operator_session"
    former = browser.cookies["easypay-ops"]
    await _signed_in(browser, page.admin_key)
    assert browser.cookies["easypay-ops"] != former
    copied = browser.cookies["easypay-ops"]
    async with httpx.AsyncClient(base_url=page.url, headers=_OURS) as thief:
        thief.cookies.set("easypay-ops", former, path="/ops")
        assert (await thief.get("/ops/session")).status_code == 401
        assert (await browser.delete("/ops/session")).status_code == 204
        thief.cookies.set("easypay-ops", copied, path="/ops")
        assert (await thief.get("/ops/session")).status_code == 401


async def test_looking_does_not_keep_a_session(browser: httpx.AsyncClient, redis: TestRedis) -> None:
    """Asking whether it goes on is no use of it, so a page that nobody is at runs out; a person's doings are."""
    token = browser.cookies["easypay-ops"]
    name = f"{PREFIX}{hashlib.sha256(token.encode()).hexdigest()}"
    redis.ask("PEXPIRE", name, 600_000)
    looked = await browser.get("/ops/session")
    assert (looked.status_code, "set-cookie" in looked.headers) == (200, False)
    assert redis.ask("PTTL", name) <= 600_000
    used = await browser.put("/ops/session")
    assert (used.status_code, "set-cookie" in used.headers) == (200, True)
    assert redis.ask("PTTL", name) > 600_000


async def test_revoking_the_key_ends_its_sessions(
    page: OperationsPage, browser: httpx.AsyncClient, postgres: TestPostgres
) -> None:
    """At the next request."""
    (key_id,) = [
        key.id
        for key in await list_keys(postgres.url())
        if key.last4 == page.admin_key[-4:] and key.merchant == "operator"
    ]
    assert (await browser.get("/ops/session")).json()["api_key"] == key_id
    await revoke_key(postgres.url(), key_id)
    assert (await browser.get("/ops/session")).status_code == 401


async def test_the_stream_brings_every_panel(browser: httpx.AsyncClient) -> None:
    """In the form of the API."""
    events = await _events(browser, _PANELS)
    assert len(events["overview"]["history"]) == 120
    assert events["tasks"] == (await browser.get("/ops/api/tasks?state=dead&limit=20")).json()


async def test_the_stream_outlives_the_monitor(page: OperationsPage, browser: httpx.AsyncClient) -> None:
    """It says that it is away."""
    page.monitor.is_away = True
    events = await _events(browser, {"away:overview", "away:alerts", "breakers"})
    assert events["away:overview"]["reason"] in ("It does not answer.", "It does not answer in time.")


async def test_streams_do_not_hold_a_server_up_that_stops(page: OperationsPage, browser: httpx.AsyncClient) -> None:
    """They end when it takes no more connections."""
    async with asyncio.timeout(30), browser.stream("GET", "/ops/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        page.server.should_exit = True
        async for _ in lines:
            pass


async def test_actions_leave_an_entry_each(page: OperationsPage, browser: httpx.AsyncClient) -> None:
    """With who, what and to what; also those that failed, and those by key."""
    assert (await browser.post("/ops/api/breakers/redis/force", json={"state": "open"})).status_code == 200
    assert (await browser.post("/ops/api/cache/invalidate", json={"models": ["payment"]})).status_code == 200
    missing = "0199a5c0-0000-7000-8000-000000000001"
    assert (await browser.post(f"/ops/api/tasks/{missing}/retry")).status_code == 404
    expected = [
        ("breaker.force_auto", "redis", "succeeded"),
        ("task.redrive", missing, "failed"),
        ("cache.invalidate", "payment", "succeeded"),
        ("breaker.force_open", "redis", "succeeded"),
        ("operator.sign_in", "session", "succeeded"),
    ]
    headers = {"authorization": f"Bearer {page.admin_key}"}
    async with httpx.AsyncClient(base_url=page.url, headers=headers, timeout=30) as by_key:
        assert (await by_key.post("/ops/api/breakers/redis/force", json={"state": "auto"})).status_code == 200
        entries = await entries_once(by_key, lambda found: _told(found) == expected)
    assert _told(entries) == expected
    assert len({entry["api_key"] for entry in entries[:5]}) == 1


def _told(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(entry["action"], entry["object_id"], entry["result"]) for entry in entries[:5]]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
async def test_another_site_cannot_act(page: OperationsPage, browser: httpx.AsyncClient, site: str | None) -> None:
    """Though the cookie came along; nothing is done."""
    request = browser.build_request("POST", "/ops/api/breakers/redis/force", json={"state": "open"})
    del request.headers["sec-fetch-site"]
    if site is not None:
        request.headers["sec-fetch-site"] = site
    refused = await browser.send(request)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert page.monitor.done == []


async def test_without_redis_replicas_know_each_other_s_sessions(postgres: TestPostgres) -> None:
    """The browser carries them; signing out has it forget."""
    async with operations_page(postgres.url(), None) as first, operations_page(postgres.url(), None) as second:
        async with httpx.AsyncClient(base_url=first.url, headers=_OURS) as client:
            await _sign_in(client, first.admin_key)
            token = client.cookies["easypay-ops"]
            assert (await client.get(f"{second.url}/ops/session")).status_code == 200
            assert (await client.delete("/ops/session")).status_code == 204
            assert (await client.get("/ops/session")).status_code == 401
        assert first.admin_key not in token


async def test_while_redis_is_away_the_page_says_so(postgres: TestPostgres) -> None:
    """Who was in may look, and nobody signs in; with the key itself all of it works."""
    server = TestRedis()
    server.start()
    try:
        async with (
            operations_page(postgres.url(), server.url) as page,
            httpx.AsyncClient(base_url=page.url, headers=_OURS, timeout=30) as client,
            httpx.AsyncClient(base_url=page.url, headers=_OURS, timeout=30) as late,
        ):
            await _signed_in(client, page.admin_key)
            assert (await client.get("/ops")).status_code == 200
            server.pause()
            assert (await client.get("/ops")).status_code == 200
            refused = await client.post("/ops/api/cache/invalidate", json={"models": ["payment"]})
            assert refused.status_code == 503
            assert "Redis" in refused.json()["detail"]
            assert (await _sign_in(late, page.admin_key)).status_code == 503
            late.cookies.set("easypay-ops", "A" * 43, path="/ops")
            shown = await late.get("/ops")
            assert (shown.status_code, shown.headers["content-type"]) == (503, "text/html; charset=utf-8")
            assert "Redis" in shown.text
            by_key = await late.get("/ops/api/overview", headers={"authorization": f"Bearer {page.admin_key}"})
            assert by_key.status_code == 200
            server.resume()
    finally:
        server.resume()
        server.remove()
