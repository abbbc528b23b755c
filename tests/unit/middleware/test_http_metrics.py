"""Each request is measured by what it was, never by what was in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Receive, Scope, Send

from actors.monitor.instruments import Instruments
from actors.monitor.messages import Batch
from actors.monitor.series import Series
from serve_app.middleware.http_metrics import HttpMetrics
from serve_app.monitoring.names import HTTP_DURATION, HTTP_REQUEST_SIZE, HTTP_REQUESTS, HTTP_RESPONSE_SIZE
from tests.unit.http.exchange import Exchange, ask, http_scope, receive_of

_WATCHED_S = 2.0
"""Longer than a machine that stands still for a moment takes to the first byte."""


class _App:
    """Answers each request with these bodies, under this template."""

    def __init__(self, *bodies: bytes, route: str | None = "/things/{thing_id}", status: int = 200) -> None:
        self._bodies = bodies or (b"",)
        self._route = route
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._route is not None:
            scope["route_template"] = self._route
        await send({"type": "http.response.start", "status": self._status, "headers": []})
        for index, body in enumerate(self._bodies):
            more = index < len(self._bodies) - 1
            await send({"type": "http.response.body", "body": body, "more_body": more})


def _instruments() -> Instruments:
    return Instruments("gateway-1", "node-1")


def _of(batch: Batch, name: str) -> dict[Series, float]:
    return {series: count for series, count in batch.counters.items() if series.name == name}


def _recorded(batch: Batch, name: str) -> dict[tuple[tuple[str, str], ...], tuple[int, float]]:
    return {
        series.labels: (found.count, found.total) for series, found in batch.histograms.items() if series.name == name
    }


def _labels(series: Iterable[Series]) -> list[dict[str, str]]:
    return [dict(each.labels) for each in series]


async def test_a_request_is_counted_by_its_template_and_measured() -> None:
    """Method, route and status; the sizes of what came and went."""
    instruments = _instruments()
    app = HttpMetrics(_App(b"12345", status=201), instruments)
    for _ in range(3):
        answer = await ask(app, "POST", "/things/4242", headers=[(b"content-length", b"11")], body=b"x" * 11)
        assert (answer.status, answer.body) == (201, b"12345")
    batch = instruments.take()
    counts = _of(batch, HTTP_REQUESTS)
    assert _labels(counts) == [{"method": "POST", "route": "/things/{thing_id}", "status": "201"}]
    assert list(counts.values()) == [3]
    route = (("route", "/things/{thing_id}"),)
    assert _recorded(batch, HTTP_REQUEST_SIZE) == {route: (3, 33.0)}
    assert _recorded(batch, HTTP_RESPONSE_SIZE) == {route: (3, 15.0)}
    ((labels, (count, seconds)),) = _recorded(batch, HTTP_DURATION).items()
    assert labels == (("method", "POST"), *route)
    assert count == 3
    assert 0 < seconds < 60


async def test_what_clients_make_up_gets_no_labels_of_its_own() -> None:
    """A path that is not known and a method that nobody has are one series each, whatever their text."""
    instruments = _instruments()
    app = HttpMetrics(_App(route=None, status=404), instruments)
    for number in range(50):
        await ask(app, f"METHOD{number}", f"/{number}")
    counts = _of(instruments.take(), HTTP_REQUESTS)
    assert _labels(counts) == [{"method": "_OTHER", "route": "-", "status": "404"}]
    assert list(counts.values()) == [50]


async def test_methods_that_a_path_does_not_have_are_one_series() -> None:
    """Else a client without a key could use up the label sets, and what fails afterwards would not be seen."""
    instruments = _instruments()
    app = HttpMetrics(_App(status=405), instruments)
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
        await ask(app, method, "/things/1")
    counts = _of(instruments.take(), HTTP_REQUESTS)
    assert _labels(counts) == [{"method": "_OTHER", "route": "/things/{thing_id}", "status": "405"}]
    assert list(counts.values()) == [5]


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"9" * 400, b""])
async def test_a_length_that_is_no_number_is_not_recorded(length: bytes) -> None:
    """The request is counted all the same."""
    instruments = _instruments()
    await ask(HttpMetrics(_App(), instruments), "POST", "/things/1", headers=[(b"content-length", length)])
    batch = instruments.take()
    assert sum(_of(batch, HTTP_REQUESTS).values()) == 1
    assert _recorded(batch, HTTP_REQUEST_SIZE) == {}


async def test_a_request_without_an_answer_counts_as_one_whose_client_went_away() -> None:
    """And what the app raised goes on to the server."""
    instruments = _instruments()

    class Gone(_App):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await ask(HttpMetrics(Gone(), instruments), "GET", "/things/1")
    assert _labels(_of(instruments.take(), HTTP_REQUESTS)) == [{"method": "GET", "route": "-", "status": "499"}]


async def test_a_stream_took_as_long_as_until_its_first_byte() -> None:
    """How long somebody watches events says nothing of how quick the gateway is."""
    instruments = _instruments()
    first, go_on = asyncio.Event(), asyncio.Event()

    class Stream(_App):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["route_template"] = "/ops/events"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            first.set()
            await go_on.wait()
            await send({"type": "http.response.body", "body": b"22", "more_body": False})

    exchange = Exchange()
    task = asyncio.create_task(
        HttpMetrics(Stream(), instruments)(http_scope("GET", "/ops/events"), receive_of(), exchange.send)
    )
    await first.wait()
    loop = asyncio.get_running_loop()
    loop.call_later(_WATCHED_S, go_on.set)
    await task
    batch = instruments.take()
    ((_, (count, seconds)),) = _recorded(batch, HTTP_DURATION).items()
    assert count == 1
    assert seconds < _WATCHED_S
    assert _recorded(batch, HTTP_RESPONSE_SIZE) == {(("route", "/ops/events"),): (1, 3.0)}


async def test_what_is_no_request_passes() -> None:
    """Such as the server's start."""
    instruments = _instruments()
    exchange = Exchange()
    await HttpMetrics(_App(), instruments)({"type": "lifespan"}, receive_of(), exchange.send)
    assert exchange.status == 200
    assert _of(instruments.take(), HTTP_REQUESTS) == {}
