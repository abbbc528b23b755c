"""Alerts reach their receivers in order, are tried again, and are bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web

from actors.monitor.alerts import AlertState, AlertView, Severity
from actors.monitor.courier import Courier
from actors.monitor.messages import Change
from actors.monitor.outbox import ATTEMPTS_MAX, PAUSE_MAX_S, QUEUE_MAX, Outbox
from actors.monitor.sinks import DeliveryFailed, LogSink, WebhookSink

_AT = datetime(2026, 1, 1, tzinfo=UTC)


def _alert(number: int = 1, state: AlertState = AlertState.FIRING) -> AlertView:
    changes = (Change(_AT, "deploy", "version 2"),)
    return AlertView(f"Hot-{number}", "Hot", (("pool", "a"),), Severity.PAGE, state, _AT, 9.0, 5.0, "hot", changes)


def test_it_is_tried_again_after_longer_and_longer_pauses_and_then_given_up() -> None:
    """From half a second to two minutes; what waits behind it is tried then."""
    outbox, now, pauses = Outbox(lambda: 0.0), 0.0, []
    first, second = _alert(1), _alert(2)
    outbox.add([first, second], now)
    for attempt in range(ATTEMPTS_MAX):
        assert outbox.due(now) is first
        goes_on = outbox.failed(first, now)
        assert goes_on is (attempt < ATTEMPTS_MAX - 1)
        if goes_on:
            pause_s = outbox.due_in_s(now)
            assert pause_s is not None
            assert outbox.due(now + pause_s * 0.99) is None
            pauses.append(pause_s)
            now += pause_s
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == PAUSE_MAX_S
    assert outbox.due(now) is second
    outbox.delivered(second)
    assert outbox.counts() == (0, 1, ATTEMPTS_MAX, 1, 0)
    assert outbox.due_in_s(now) is None


def test_what_waits_is_bounded() -> None:
    """The oldest makes room; if it was on its way, its end is nobody else's."""
    outbox = Outbox(lambda: 0.5)
    alerts = [_alert(number) for number in range(QUEUE_MAX + 5)]
    outbox.add(alerts, 0.0)
    assert outbox.counts().dropped == 5
    outbox.delivered(alerts[0])
    outbox.failed(alerts[0], 0.0)
    assert outbox.due(0.0) is alerts[5]
    assert outbox.counts() == (QUEUE_MAX, 0, 0, 0, 5)


class Receiver:
    """Takes what it is sent, after failing as often as it is told to."""

    name = "receiver"

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.got: list[AlertView] = []
        self.done = asyncio.Event()

    async def deliver(self, alert: AlertView) -> None:
        """Take one, or fail."""
        if self.failures:
            self.failures -= 1
            raise DeliveryFailed("busy")
        self.got.append(alert)
        if len(self.got) == 2:
            self.done.set()


async def test_a_courier_delivers_in_order_though_a_receiver_fails() -> None:
    """And other receivers are not held up by that."""
    failing, well = Receiver(failures=2), Receiver()
    couriers = [Courier(each, chance=lambda: 1.0) for each in (failing, well)]
    alerts = [_alert(1), _alert(1, AlertState.RESOLVED)]
    for courier in couriers:
        courier.send(alerts[:1])
        courier.send(alerts[1:])
    async with asyncio.timeout(60):
        await well.done.wait()
        await failing.done.wait()
    assert failing.got == well.got == alerts
    assert couriers[0].counts().failures == 2
    for courier in couriers:
        await courier.close()


class Endpoint:
    """A web server that keeps what is posted, and answers with a status."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def post(self, request: web.Request) -> web.Response:
        """Take one."""
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers={"Location": self.url})


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Run one on a free port."""
    made, app = Endpoint(), web.Application()
    app.router.add_post("/alerts", made.post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/alerts"
    yield made
    await runner.cleanup()


async def test_a_webhook_is_posted(endpoint: Endpoint) -> None:
    """With all that is known of the alert, and a key by which one that comes twice is known."""
    await WebhookSink(endpoint.url, {"Authorization": "Bearer x"}).deliver(_alert())
    ((headers, body),) = endpoint.got
    assert headers["Idempotency-Key"] == "Hot-1-firing"
    assert headers["Authorization"] == "Bearer x"
    assert json.loads(body) == {
        "id": "Hot-1",
        "alert": "Hot",
        "labels": {"pool": "a"},
        "severity": "page",
        "state": "firing",
        "since": "2026-01-01T00:00:00+00:00",
        "value": 9.0,
        "threshold": 5.0,
        "reason": "hot",
        "changes": [{"at": "2026-01-01T00:00:00+00:00", "kind": "deploy", "what": "version 2"}],
    }


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_a_webhook_that_is_not_taken_failed(endpoint: Endpoint, status: int) -> None:
    """A redirect too, which could lead anywhere: it is not followed."""
    endpoint.status = status
    with pytest.raises(DeliveryFailed, match=str(status)):
        await WebhookSink(endpoint.url).deliver(_alert())
    assert len(endpoint.got) == 1


async def test_a_receiver_that_is_away_is_not_named() -> None:
    """A URL may hold a secret, and the error goes to the log."""
    with pytest.raises(DeliveryFailed) as failed:
        await WebhookSink("http://127.0.0.1:9/secret").deliver(_alert())
    assert "secret" not in str(failed.value)
    assert failed.value.__cause__ is None


async def test_the_log_takes_all(capsys: pytest.CaptureFixture[str]) -> None:
    """What fires and what has resolved."""
    for state in (AlertState.FIRING, AlertState.RESOLVED):
        await LogSink().deliver(_alert(state=state))
    written = capsys.readouterr().out
    assert "an alert fires" in written
    assert "an alert has resolved" in written
