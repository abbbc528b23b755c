"""No card number, secret or personal data in anything that a gateway writes: marked values go down every path, crashes
included, and are looked for in all of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from actors.runtime.traceparent import parse_traceparent
from tests.chaos.killer import REPLICA, TASK_WORKER, Killer
from tests.e2e.gateway import TEST_ENVIRONMENT, TEST_OPTIONS, RunningGateway, running_gateway
from tests.e2e.merchant import Merchant, new_merchant
from tests.support.canaries import Canaries, database_url, gateway_secrets, written
from tests.support.hostile_processor import HostileProcessor, hostile_processor
from tests.support.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.support.polling import eventually
from tests.support.webhook_receiver import Answer, WebhookReceiver, receiver_beside

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

_TOKENS = (
    "tok_visa",
    "tok_declined",
    "tok_insufficient_funds",
    "tok_expired_card",
    "tok_processor_error",
    "tok_timeout_charged",
)
_SLOW_STATEMENT_S = 0.8
"""Longer than what PostgreSQL logs as slow."""
_WAITING = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = current_user"


@dataclass
class Scene:
    """A gateway that traces every request, with all that it talks to."""

    gateway: RunningGateway
    merchant: Merchant
    processor: HostileProcessor
    webhooks: WebhookReceiver
    collector: OtlpReceiver
    canaries: Canaries
    planted: str
    """A request id: the one thing of a client that is told, so it has to be found."""

    def personal(self) -> dict[str, Any]:
        """Return members of a payment that are nobody else's business."""
        words = self.canaries.word
        return {
            "description": words("description"),
            "customer": words("customer"),
            "metadata": {words("metadata name"): words("metadata value")},
        }


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Start everything."""
    canaries = Canaries()
    with (
        otlp_receiver() as collector,
        hostile_processor(canaries.word("processor's words")) as processor,
        receiver_beside(lambda event: Answer(500, {"x-echo": "1"}, str(event).encode())) as webhooks,
        running_gateway(
            *TEST_OPTIONS,
            **{
                **TEST_ENVIRONMENT,
                "PROCESSOR_URL": processor.url,
                "TRACE_SAMPLE_RATIO": "1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
                "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={canaries.word('key of the collector')}",
            },
        ) as gateway,
        new_merchant(gateway) as merchant,
    ):
        canaries.keep("API key", merchant.api_key)
        canaries.keep("admin key", gateway.facts["admin_key"])
        for name, value in gateway_secrets(gateway.data_dir).items():
            canaries.keep(name, value)
        yield Scene(gateway, merchant, processor, webhooks, collector, canaries, f"planted-{uuid.uuid4().hex}")


def _hook(scene: Scene) -> None:
    """Register a receiver that fails and echoes what it is sent, with a secret of its own in its URL."""
    url = f"{scene.webhooks.url}?token={scene.canaries.word('query of a webhook URL')}"
    answer = scene.merchant.post("/v1/webhook_endpoints", {"url": url, "events": ["*"]}, "")
    assert answer.status_code == 201, answer.text
    secret = scene.canaries.keep("webhook secret", answer.json()["secret"])
    scene.webhooks.secrets.append(secret)


def _pay(scene: Scene) -> None:
    """Take payments of every outcome, read, change and refund them, and repeat each."""
    for token in _TOKENS:
        key = scene.canaries.word("idempotency key")
        personal = scene.personal()
        for _ in range(2):
            answer = scene.merchant.pay(key, payment_method=token, **personal)
            assert answer.status_code < 500 or answer.status_code == 502, answer.text
    paid = scene.merchant.pay(scene.canaries.word("idempotency key"), **scene.personal()).json()
    one = f"/v1/payments/{paid['id']}"
    assert scene.merchant.get(one).json()["customer"] == paid["customer"]
    assert scene.merchant.http.patch(one, json={"description": scene.canaries.word("description")}).status_code == 200
    refund = {"amount": 1, "reason": scene.canaries.word("reason of a refund")}
    assert scene.merchant.post(f"{one}/refunds", refund).status_code == 201
    assert scene.merchant.get(f"{one}/timeline").status_code == 200


def _send_cards(scene: Scene) -> None:
    """Put a card number wherever a request has room for text."""
    card, http = scene.canaries.card, scene.merchant.http
    for member in ("description", "customer", "payment_method", "currency", "amount", card("a member's name")):
        assert scene.merchant.pay(**{member: card(member)}).status_code == 422
    assert scene.merchant.pay(metadata={card("metadata"): "x", "y": card("metadata")}).status_code == 422
    assert scene.merchant.pay(card("idempotency key")).status_code == 422
    for path in (f"/v1/payments/{card('path')}", f"/{card('path')}", f"/v1/payments?status={card('query')}"):
        assert http.get(path).status_code in {404, 422}
    http.get(f"/v1/payments?{card('name in a query')}=1")
    for value in (card, scene.canaries.word):
        headers = {
            "traceparent": f"00-{value('trace id')}-{value('span id')}-01",
            "tracestate": f"v={value('tracestate')}",
            "User-Agent": value("user agent"),
            "X-Forwarded-For": value("forwarded for"),
            "Accept-Encoding": value("accept encoding"),
            "Cookie": f"pan={value('cookie')}",
            "Referer": f"http://shop/{value('referer')}",
            "baggage": f"pan={value('baggage')}",
            "x-request-timeout-seconds": value("timeout"),
            "x-request-disconnect-disabled": value("disconnect"),
            value("name of a header"): "x",
        }
        for name, told in headers.items():
            assert http.get("/v1/payments", headers={name: told}).status_code < 500, name
    # An id of another form is the client's own choice, and is told.
    ids = {"X-Request-Id": card("request id"), "traceparent": f"00-{card('trace id').zfill(32)}-{'b' * 16}-01"}
    assert http.get("/v1/payments", headers=ids).status_code == 200
    assert http.request(card("method"), "/v1/payments").status_code < 500


def _send_garbage(scene: Scene) -> None:
    """Send what is no request: to the application, to the ingress, and without a key."""
    word, http = scene.canaries.word, scene.merchant.http
    json = {"Content-Type": "application/json"}
    bodies = [f'{{"customer": "{word("broken JSON")}"', f'["{word("a list")}"]', f'"{word("a string")}"' * 20_000]
    bodies.append("[" * 5000 + word("nested JSON"))
    for body in bodies:
        assert http.post("/v1/payments", content=body, headers=json).status_code in {400, 413, 422}
    http.post("/v1/payments", content=word("text").encode() + b"\xff\xfe", headers=json)
    http.post("/v1/payments", content=word("a form"), headers={"Content-Type": word("content type")})
    for scheme in ("Bearer", "Basic", "bearer  ", ""):
        given = f"{scheme} sk_test_{word('authorization')}".strip()
        assert httpx.get(f"{scene.gateway.url}/v1/payments", headers={"Authorization": given}).status_code == 401
    http.post("/v1/processors/acquirer/callbacks", content=word("callback"), headers={"webhook-id": word("callback")})
    for text in (
        f"GET /{word('raw path')} HTTP/9.9\r\n\r\n",
        f"{word('raw line')}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {word('host')}\r\n{word('raw header')}\r\n\r\n",
        f"POST /v1/payments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{word('chunk')}\r\n",
    ):
        _raw(scene.gateway, text)


def _raw(gateway: RunningGateway, text: str) -> None:
    at = urlsplit(gateway.url)
    with socket.create_connection((at.hostname, at.port), timeout=5) as connection:
        connection.sendall(text.encode())
        # The ingress may end it before it was read to its end.
        with suppress(ConnectionResetError):
            connection.shutdown(socket.SHUT_WR)
            connection.recv(65536)


def _slow_and_broken_statements(scene: Scene) -> None:
    """Have statements with personal data wait until PostgreSQL logs them, and end one in the middle."""
    paid = scene.merchant.pay(**scene.personal()).json()
    payment_id = uuid.UUID(paid["id"].removeprefix("pay_"))

    def change() -> None:
        words = {"description": scene.canaries.word("slow statement")}
        scene.merchant.http.patch(f"/v1/payments/{paid['id']}", json=words)

    async def hold(end: bool) -> None:
        connection = await asyncpg.connect(scene.gateway.facts["database_url"])
        # Only the gateway's own role sees and may end its connections.
        own = await asyncpg.connect(database_url(scene.gateway.data_dir))
        try:
            async with connection.transaction():
                await connection.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment_id)
                changing = threading.Thread(target=change)
                changing.start()
                async with asyncio.timeout(20):
                    while not await own.fetchval(f"SELECT count(*) {_WAITING}"):
                        await asyncio.sleep(0.05)
                await asyncio.sleep(_SLOW_STATEMENT_S)
                if end:
                    assert await own.fetchval(f"SELECT count(pg_terminate_backend(pid)) {_WAITING}")
            await asyncio.to_thread(changing.join)
        finally:
            await own.close()
            await connection.close()

    for end in (False, True):
        asyncio.run(hold(end))


def _crashes(scene: Scene) -> None:
    """Abort a replica in the middle of a charge, and kill a worker of tasks."""
    killer = Killer(scene.gateway.data_dir, 0)
    scene.processor.working.clear()
    personal, key = scene.personal(), scene.canaries.word("idempotency key")

    def pay() -> None:
        # Whoever is cut off hears of it as a broken connection or as an answer of the ingress. What is refused, for the
        # database was away a moment ago, is asked for again.
        try:
            while not scene.processor.working.wait(0.1):
                scene.merchant.pay(key, payment_method="tok_slow", **personal)
        except httpx.HTTPError:
            return

    paying = threading.Thread(target=pay)
    paying.start()
    assert scene.processor.working.wait(20)
    for pid in killer.find(REPLICA):
        # Not SIGKILL: this one has Python tell its stacks.
        os.kill(pid, signal.SIGABRT)
    assert killer.kill_one(TASK_WORKER)
    paying.join()
    eventually(lambda: _serves(scene), bool, within_s=90)


def _serves(scene: Scene) -> bool:
    try:
        return scene.merchant.pay().status_code == 201
    except httpx.HTTPError:
        return False


_PATHS: tuple[Callable[[Scene], None], ...] = (
    _hook,
    _pay,
    _send_cards,
    _send_garbage,
    _slow_and_broken_statements,
    _crashes,
)


def test_marked_values_are_written_nowhere(scene: Scene) -> None:
    """All paths, all places; and what was planted is found, so that a value which leaked would be."""
    for path in _PATHS:
        path(scene)
    headers = {"X-Request-Id": scene.planted}
    assert scene.merchant.http.get("/v1/payments", headers=headers).status_code == 200
    planted = Canaries()
    planted.keep("request id", scene.planted)

    places = eventually(
        lambda: written(scene.gateway, scene.collector),
        # Its line in a replica's log, and its span.
        lambda found: {place.startswith("trace") for place in _of(planted.found_in(found))} == {True, False},
        within_s=60,
    )
    _every_place_was_looked_at(places)
    assert scene.canaries.found_in(places) == []


def test_a_trace_goes_through_the_whole_gateway(scene: Scene) -> None:
    """In Ray's processes as in a test's own: from the caller to the processor and to the receiver of the webhook."""
    given = f"00-{uuid.uuid4().hex.replace('1', 'a')}-{'b' * 16}-01"
    parent = parse_traceparent(given)
    assert parent is not None
    body = {"amount": 100, "currency": "USD", "payment_method": "tok_visa"}
    answer = scene.merchant.http.post("/v1/payments", json=body, headers={"traceparent": given})
    assert answer.status_code == 201
    for name in (
        "POST /v1/payments",
        "batch begin_payments",
        "SQL begin_payments",
        "processor call",
        "SQL conclude",
        "task webhooks.deliver",
        "webhook POST",
    ):
        scene.collector.wait_for(name, parent.trace_id)
    told = [headers.get("traceparent", "") for headers in list(scene.processor.headers)]
    assert any(f"{parent.trace_id:032x}" in each for each in told)
    received = [each.headers.get("traceparent", "") for each in list(scene.webhooks.received)]
    assert any(f"{parent.trace_id:032x}" in each for each in received)


def _of(hits: list[str]) -> list[str]:
    return [hit.partition(": ")[2] for hit in hits]


def _every_place_was_looked_at(places: dict[str, bytes]) -> None:
    """Each has in it what it always has: a search of something empty finds nothing either."""
    expected = {
        "postgres": b"duration: ",
        "worker-": b'"event":"request"',
        "raylet": b"",
        "gcs_server": b"",
        "redis": b"",
        "bootstrap": b"",
        "a.sock.": b"",  # HAProxy, which says nothing while all is well
        "Ray /api/v0/actors": b"TaskSchedulerActor",
        "Ray /api/v0/workers": b"pid",
        "Ray /nodes": b"ray::",
        "Ray /api/serve": b"gateway",
        "/metrics": b"easypay_",
        "processes": b"ray::",
        "trace ": b"webhook POST",
    }
    missing = [
        name
        for name, content in expected.items()
        if not any(name in place and content in found for place, found in places.items())
    ]
    assert missing == [], sorted(places)
