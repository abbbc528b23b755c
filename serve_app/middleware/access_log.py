"""One line of JSON for each request: what was asked by its template, how it ended, how long it took.

No header, no query and no identifier of an object: nothing that a person or a card could be found by.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLIENT_GONE = 499
"""The status of a request that got no answer, because its client went away first."""
LINES_MAX = 1000
"""Lines that are gathered at most; more are written at once."""
_FLUSH_EVERY_S = 0.2


class BatchedLines:
    """Gathers lines and writes those of a fifth of a second at once: a write for each cost as much as its request."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._lines: list[bytes] = []

    def append(self, line: bytes) -> None:
        """Write a line soon."""
        if not self._lines:
            asyncio.get_running_loop().call_later(_FLUSH_EVERY_S, self.flush)
        self._lines.append(line)
        if len(self._lines) >= LINES_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered; also the last thing to do before the process ends."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        # A log that cannot be written, as on a full disk, fails no payment.
        with suppress(OSError):
            self._write(b"\n".join([*lines, b""]))


class AccessLog:
    """Adds a line for each request."""

    def __init__(self, app: ASGIApp, lines: BatchedLines) -> None:
        self._app = app
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = CLIENT_GONE

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self._lines.append(to_json(_line(scope, status, time.perf_counter() - started)))


def _line(scope: Scope, status: int, took_s: float) -> dict[str, object]:
    return {
        "at": round(time.time(), 3),
        "event": "request",
        "method": scope["method"],
        "route": scope.get("route_template", "-"),
        "status": status,
        "took_ms": round(took_s * 1000, 2),
        "request_id": scope.get("request_id"),
    }
