"""Measures each request: how many by method, route and status, how long they took, how large they and the answers were.

A route is the template of a path, so labels have few values: a path that is not known is "-", and a method that is
none, or that the path does not have, is "_OTHER". To measure a request takes 6.5 us on a core that takes 0.14 us for
`time.monotonic` (`python -m tests.bench.monitoring --parts micro`).
"""

from __future__ import annotations

import time
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actors.monitor.instruments import Counter, Distribution, Instruments, Readings
from serve_app.monitoring.names import HTTP_DURATION, HTTP_REQUEST_SIZE, HTTP_REQUESTS, HTTP_RESPONSE_SIZE
from serve_app.tracing.notes import CLIENT_GONE, OTHER_METHOD, known_method

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OPERATIONS = "/ops/api/"
_NOT_ALLOWED = 405
_REFUSED_FROM = 300
_SIZES_MAX = 1000
_NO_ROUTE = "-"


class _Sizes:
    """The sizes of the bodies of one route. They repeat, so they are counted, and recorded with the next report."""

    __slots__ = ("_answers", "_instruments", "_requests", "_route")

    def __init__(self, instruments: Instruments, route: str) -> None:
        self._instruments = instruments
        self._route = route
        self._requests: dict[int, int] = {}
        self._answers: dict[int, int] = {}

    def note(self, request: int, answer: int) -> None:
        """Count the sizes of a request's body, unless it has none, and of the answer's."""
        if request:
            self._requests[request] = self._requests.get(request, 0) + 1
        self._answers[answer] = self._answers.get(answer, 0) + 1
        if len(self._requests) + len(self._answers) >= _SIZES_MAX:
            self.record()

    def record(self) -> None:
        """Record what was counted since the last report."""
        for name, counted in ((HTTP_REQUEST_SIZE, self._requests), (HTTP_RESPONSE_SIZE, self._answers)):
            if counted:
                distribution = self._instruments.distribution(name, route=self._route)
                for size, times in counted.items():
                    distribution.record(size, times)
                counted.clear()


class _Handles(NamedTuple):
    """What the requests of one method, route and status are recorded with."""

    requests: Counter
    duration: Distribution
    sizes: _Sizes
    is_change: bool
    """Whether it is one of those by which operators change something."""


class HttpMetrics:
    """Records each request once it is over.

    A duration is that until the last byte of the answer was handed to the server; of an answer that is streamed, such
    as one of server-sent events, until its first. The size of a request is what it declares as its body, and is
    recorded for those that have one. That of an answer is of its body as it is sent, compressed or not.

    What operators change is among what the monitor shows to have changed before an alert, by the template alone.
    """

    def __init__(self, app: ASGIApp, instruments: Instruments) -> None:
        self._app = app
        self._instruments = instruments
        self._handles: dict[tuple[str, str, int], _Handles] = {}
        self._sizes: dict[str, _Sizes] = {}
        instruments.source(self._record_sizes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and record it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        finally:
            ended = answer.streams_since or time.perf_counter()
            self._record(scope, answer, ended - started)

    def _record(self, scope: Scope, answer: _Answer, took_s: float) -> None:
        key = (scope["method"], scope.get("route_template", _NO_ROUTE), answer.status)
        handles = self._handles.get(key) or self._new_handles(*key)
        handles.requests.add()
        if handles.is_change and answer.status < _REFUSED_FROM:
            self._instruments.changed("configuration", f"{key[0]} {key[1]}")
        handles.duration.record(took_s)
        handles.sizes.note(_declared_size(scope), answer.size)

    def _new_handles(self, method: str, route: str, status: int) -> _Handles:
        # Which method a path does not have is any client's choice: ten for each path would use up the label sets.
        known = known_method(method) if status != _NOT_ALLOWED else OTHER_METHOD
        instruments = self._instruments
        handles = _Handles(
            instruments.counter(HTTP_REQUESTS, method=known, route=route, status=str(status)),
            instruments.distribution(HTTP_DURATION, method=known, route=route),
            self._sizes_of(route),
            is_change=route.startswith(_OPERATIONS) and method not in _READING,
        )
        # A method that is not known can be any text, of which none is remembered.
        if known_method(method) == method:
            self._handles[method, route, status] = handles
        return handles

    def _sizes_of(self, route: str) -> _Sizes:
        sizes = self._sizes.get(route)
        if sizes is None:
            sizes = self._sizes[route] = _Sizes(self._instruments, route)
        return sizes

    def _record_sizes(self, _: Readings) -> None:
        for sizes in self._sizes.values():
            sizes.record()


class _Answer:
    """What is sent of one answer."""

    __slots__ = ("_send", "size", "status", "streams_since")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = CLIENT_GONE
        self.size = 0
        self.streams_since = 0.0

    async def send(self, message: Message) -> None:
        """Pass a message on, and note what it says."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        elif kind == "http.response.body":
            self.size += len(message.get("body", b""))
            if not self.streams_since and message.get("more_body", False):
                self.streams_since = time.perf_counter()
        await self._send(message)


def _declared_size(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            # A length of more digits is refused anyway.
            return int(value) if value.isdigit() and len(value) <= 15 else 0
    return 0
