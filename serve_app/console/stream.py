"""Server-sent events: an answer that goes on while the page is open.

It ends when the browser is gone, when the replica is to stop, when the session is over, and after some minutes in any
case: the browser connects anew by itself, to whichever replica there is then. A comment goes out where there is nothing
to tell for some seconds, for what lies between ends connections that are silent for a minute.

Source: HTML Living Standard, 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.types import Receive, Send

from actors.runtime.errors import ActorError
from serve_app.console.feed import Event, Feed
from serve_app.http.inbox import Inbox
from serve_app.http.response import Headers
from serve_app.problems import Problem

HEART_BEAT_S = 5.0
LIFETIME_S = 600.0
CHECK_EVERY_S = 15.0
"""So long at most a page stays live whose session was ended elsewhere, or whose key was revoked."""
_RECONNECT_MS = 1000
HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # A compressor would hold events back; and what proxies keep of them would be of yesterday.
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
_HEART_BEAT = b": nothing new\n\n"

StillSignedIn = Callable[[], Awaitable[bool]]


class Streams:
    """Begins streams, and ends them all when the replica is to stop."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_stopped = False

    def stop(self) -> None:
        """End every stream, and begin no more that last. Safe to repeat, and from any thread."""
        self._has_stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def open(self, receive: Receive, still_signed_in: StillSignedIn) -> EventStream:
        """Return the answer that is a stream. Raises Overloaded where there are as many as there may be."""
        self._loop = asyncio.get_running_loop()
        if self._has_stopped:
            self._stopping.set()
        return EventStream(self._feed, receive, self._stopping, still_signed_in)


class EventStream:
    """One stream."""

    def __init__(self, feed: Feed, receive: Receive, stopping: asyncio.Event, still_signed_in: StillSignedIn) -> None:
        self._feed = feed
        self._watcher = feed.join()
        self._receive = receive
        self._stopping = stopping
        self._still_signed_in = still_signed_in

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send the stream to its end."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
            if not head_only:
                await _part(send, b"retry: %d\n\n" % _RECONNECT_MS)
                await self._until_the_end(send)
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._feed.leave(self._watcher)

    async def _until_the_end(self, send: Send) -> None:
        """Tell what there is to tell until one of the reasons to end is there."""
        # Not all at once, those that began together.
        lifetime_s = LIFETIME_S * random.uniform(0.8, 1.2)
        ends = [
            asyncio.ensure_future(each)
            for each in (Inbox(self._receive).hung_up(), self._stopping.wait(), self._signed_out())
        ]
        telling = asyncio.create_task(self._tell(send))
        try:
            done, _ = await asyncio.wait((*ends, telling), timeout=lifetime_s, return_when=asyncio.FIRST_COMPLETED)
            if telling in done:
                await telling  # Raises why.
            if ends[2] in done:
                await ends[2]  # Raises why: a defect is no end of a session.
                telling.cancel()
                with suppress(asyncio.CancelledError):
                    await telling
                await _part(send, encoded(Event("signed_out", b"{}")))
        finally:
            for task in (*ends, telling):
                task.cancel()
            await asyncio.gather(*ends, telling, return_exceptions=True)

    async def _tell(self, send: Send) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEART_BEAT_S):
                    await self._watcher.news.wait()
            await _part(send, b"".join(map(encoded, self._watcher.take())) or _HEART_BEAT)

    async def _signed_out(self) -> None:
        """Return once the session is over."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            # Whoever cannot tell whether it is over lets the page go on: it is looked at when things are away, and a
            # stream cannot change anything. Its own lifetime is the bound.
            with suppress(Problem, ActorError):
                if not await self._still_signed_in():
                    return


def encoded(event: Event) -> bytes:
    """Return an event as it goes over the wire."""
    return b"event: %b\ndata: %b\n\n" % (event.name.encode(), b"\ndata: ".join(event.data.splitlines()))


async def _part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
