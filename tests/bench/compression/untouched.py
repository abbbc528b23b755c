"""What the middleware adds to a request, in microseconds of a processor.

To those that it leaves alone, and for comparison to one that it encodes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from actors.runtime.lag import LoopLagProbe
from serve_app.compression.compressor import Compressor
from serve_app.http.response import json_response
from serve_app.middleware.compression import Compression
from tests.bench.compression.bodies import payment_page

_REQUESTS = 2_000
_ROUNDS = 11
_HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"user-agent", b"merchant/1.0"),
    (b"accept", b"*/*"),
    (b"authorization", b"Bearer sk_test_0123456789abcdefghijklmnopqrstuv"),
    (b"content-type", b"application/json"),
    (b"content-length", b"94"),
    (b"idempotency-key", b"9b2d7c1e-55f0-4a35-8a0e-5d1b8c1f0a77"),
]
_ASKS = (b"accept-encoding", b"gzip, deflate, br, zstd")
# Of the others one is tried now and then that goes to the thread, which is nothing for a comparison without a loop.
_ASKS_ZSTD = (b"accept-encoding", b"zstd")


@dataclass(frozen=True, slots=True)
class PathFigure:
    """A kind of request: the microseconds that the app alone takes, and those that the middleware adds."""

    request: str
    alone_us: float
    added_us: float


def path_figures() -> list[PathFigure]:
    """Measure each kind."""
    small, page = payment_page(600), payment_page(10_000)
    return [
        _figure("asks for nothing, 0.7 KB", small, []),
        _figure("asks for nothing, 10 KB", page, []),
        _figure("asks, 0.7 KB: stays as it is", small, [_ASKS]),
        _figure("asks, 10 KB: zstd", page, [_ASKS_ZSTD]),
    ]


def _figure(name: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> PathFigure:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await json_response(200, body).send(send)

    scope = {"type": "http", "method": "POST", "path": "/v1/payments", "headers": [*_HEADERS, *headers]}
    wrapped = Compression(app, Compressor(LoopLagProbe().read))
    alone, added = [], []
    for _ in range(_ROUNDS):
        # One after the other, so that both have the same share of a machine whose speed changes.
        alone.append(_us(app, scope))
        added.append(_us(wrapped, scope) - alone[-1])
    return PathFigure(name, statistics.median(alone), statistics.median(added))


def _us(app: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]], scope: Scope) -> float:
    started = time.thread_time()
    for _ in range(_REQUESTS):
        _run(app(scope, _receive, _send))
    return (time.thread_time() - started) / _REQUESTS * 1e6


def _run(request: Coroutine[Any, Any, None]) -> None:
    """Run a request that waits for nothing, without a loop whose own time would be measured too."""
    try:
        request.send(None)
    except StopIteration:
        return
    raise AssertionError("the request waits")


async def _receive() -> Message:
    raise AssertionError("nothing is read")


async def _send(_: Message) -> None:
    return None
