"""One line of JSON for each request: what was asked by its template, by which merchant, how it ended and where its time
went. All that is known of a request stands in its one line (Brandur Leach, "Canonical log lines", 2019).

No header, no query and no identifier of an object: nothing that a person or a card could be found by.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.domain.ids import Prefix, public_id
from serve_app.tracing.notes import Notes, known_method

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
    """Opens the notes on each request, in scope["notes"] and in its context, and makes a line of them at its end, where
    lines are wanted."""

    def __init__(self, app: ASGIApp, lines: BatchedLines | None) -> None:
        self._app = app
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and log how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes = scope["notes"] = Notes(scope["trace_id"])
        before = notes.enter()

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                notes.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            notes.leave(before)
            if self._lines is not None:
                self._lines.append(to_json(_line(scope, notes)))


def _line(scope: Scope, notes: Notes) -> dict[str, object]:
    """Return the line's members: those that every request has, then those that it came to have."""
    line: dict[str, object] = {
        "at": round(time.time(), 3),
        "event": "request",
        "method": known_method(scope["method"]),
        "route": scope.get("route_template", "-"),
        "status": notes.status,
        "took_ms": _ms(time.perf_counter() - notes.started),
        "request_id": scope.get("request_id"),
        "trace_id": f"{notes.trace_id:032x}",
        "traced": notes.traced,
    }
    if notes.merchant_id is not None:
        line["merchant"] = public_id(Prefix.MERCHANT, notes.merchant_id)
        line["livemode"] = notes.livemode
    if notes.outcome is not None:
        line["outcome"] = notes.outcome
        line["replayed"] = notes.replayed
    if notes.decline_code is not None:
        line["decline_code"] = notes.decline_code
    if notes.cached is not None:
        line["cached"] = notes.cached
    if notes.stages:
        line["stages_ms"] = {name: _ms(seconds) for name, seconds in notes.stages.items()}
    return line


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
