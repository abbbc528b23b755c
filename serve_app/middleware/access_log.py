"""One line of JSON for each request: what was asked by its template, how it ended, how long it took.

No header, no query and no identifier of an object: nothing that a person or a card could be found by.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TextIO

from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLIENT_GONE = 499
"""The status of a request that got no answer, because its client went away first."""


class AccessLog:
    """Writes the lines to a stream, which is flushed by the operating system's buffer or at the latest on exit."""

    def __init__(self, app: ASGIApp, stream: TextIO) -> None:
        self._app = app
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and write its line."""
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
            self._write(scope, status, time.perf_counter() - started)

    def _write(self, scope: Scope, status: int, took_s: float) -> None:
        line = {
            "at": time.time(),
            "event": "request",
            "method": scope["method"],
            "route": scope.get("route_template", "-"),
            "status": status,
            "took_ms": round(took_s * 1000, 2),
            "request_id": scope.get("request_id"),
        }
        # A log that cannot be written, on a full disk or at the end of the process, fails no payment.
        with suppress(OSError, ValueError):
            self._stream.write(to_json(line).decode() + "\n")
