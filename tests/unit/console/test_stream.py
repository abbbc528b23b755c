"""The live stream, from its first byte to each of its ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from actors.runtime.errors import Unavailable
from serve_app.compression.headers import may_be_encoded
from serve_app.console import stream
from serve_app.console.feed import Event, Feed, Panel
from serve_app.console.stream import EventStream, Streams, encoded


async def _read() -> bytes:
    return b'{"a":1}'


async def _yes() -> bool:
    return True


class Browser:
    """The other end of a stream."""

    def __init__(self) -> None:
        self.got = b""
        self.start: Message = {}
        self.is_over = False
        self.gone = asyncio.Event()
        self.heard = asyncio.Event()

    async def receive(self) -> Message:
        """Say nothing until it is gone."""
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message."""
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.got += message["body"]
            self.is_over = not message.get("more_body", False)
        self.heard.set()

    async def until(self, text: bytes) -> None:
        """Wait until it has got the text."""
        async with asyncio.timeout(5):
            while text not in self.got:
                self.heard.clear()
                await self.heard.wait()


class Fixture:
    """A stream to a browser."""

    def __init__(self, still_signed_in: Callable[[], Awaitable[bool]] = _yes) -> None:
        self.feed = Feed([Panel("thing", 60.0, _read)])
        self.streams = Streams(self.feed)
        self.browser = Browser()
        self.answer: EventStream = self.streams.open(self.browser.receive, still_signed_in)
        self.sending = asyncio.create_task(self.answer.send(self.browser.send))

    async def ended(self) -> None:
        """Wait for the end, and see that nothing of the stream is left."""
        async with asyncio.timeout(5):
            await self.sending
        assert self.browser.is_over
        assert self.feed.watchers == 0


async def test_it_tells_what_the_page_shows() -> None:
    """As events by the names of the panels, and how soon to connect anew."""
    fixture = Fixture()
    await fixture.browser.until(b'event: thing\ndata: {"a":1}\n\n')
    assert fixture.browser.got.startswith(b"retry: 1000\n\n")
    fixture.browser.gone.set()
    await fixture.ended()


async def test_nothing_between_holds_it_back() -> None:
    """No compressor takes it, and nobody keeps it."""
    fixture = Fixture()
    await fixture.browser.until(b"retry")
    headers = fixture.browser.start["headers"]
    assert (b"content-type", b"text/event-stream; charset=utf-8") in headers
    assert not may_be_encoded(200, headers)
    fixture.streams.stop()
    await fixture.ended()


async def test_it_ends_when_the_replica_is_to_stop() -> None:
    """At once; one that begins later ends at once, too."""
    fixture = Fixture()
    await fixture.browser.until(b"thing")
    fixture.streams.stop()
    await fixture.ended()
    late = Browser()
    async with asyncio.timeout(5):
        await fixture.streams.open(late.receive, _yes).send(late.send)
    assert late.is_over


async def test_it_ends_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so, so that the page leads to where one signs in."""
    monkeypatch.setattr(stream, "CHECK_EVERY_S", 0.001)
    answers = [True, True, False]

    async def still_signed_in() -> bool:
        return answers.pop(0)

    fixture = Fixture(still_signed_in)
    await fixture.ended()
    assert fixture.browser.got.endswith(b"event: signed_out\ndata: {}\n\n")
    assert answers == []


async def test_who_cannot_tell_whether_a_session_is_over_lets_it_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is away: the page is looked at in just that hour."""
    monkeypatch.setattr(stream, "CHECK_EVERY_S", 0.001)
    asked = asyncio.Event()
    looks = 0

    async def still_signed_in() -> bool:
        nonlocal looks
        looks += 1
        if looks > 3:
            asked.set()
        raise Unavailable("database", "away", 1.0)

    fixture = Fixture(still_signed_in)
    async with asyncio.timeout(5):
        await asked.wait()
    assert not fixture.sending.done()
    fixture.browser.gone.set()
    await fixture.ended()
    assert b"signed_out" not in fixture.browser.got


async def test_none_begins_once_the_replica_is_to_stop() -> None:
    """Though there was none to end: one may be on its way."""
    streams, browser = Streams(Feed([Panel("thing", 60.0, _read)])), Browser()
    streams.stop()
    async with asyncio.timeout(5):
        await streams.open(browser.receive, _yes).send(browser.send)
    assert browser.is_over


async def test_it_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silently: the browser connects anew."""
    monkeypatch.setattr(stream, "LIFETIME_S", 0.01)
    fixture = Fixture()
    await fixture.ended()
    assert b"signed_out" not in fixture.browser.got


async def test_silence_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """By comments, well within the minute that the ingress waits."""
    assert stream.HEART_BEAT_S < 60 / 2
    monkeypatch.setattr(stream, "HEART_BEAT_S", 0.001)
    fixture = Fixture()
    await fixture.browser.until(b": nothing new\n\n: nothing new\n\n")
    fixture.browser.gone.set()
    await fixture.ended()


async def test_what_fails_in_it_is_not_hidden() -> None:
    """The server hears of it, and nobody watches any more."""
    fixture = Fixture()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("broken")

    other = fixture.streams.open(fixture.browser.receive, _yes)
    assert fixture.feed.watchers == 2
    with pytest.raises(OSError, match="broken"):
        await other.send(send)
    assert fixture.feed.watchers == 1
    fixture.browser.gone.set()
    await fixture.ended()


async def test_a_head_request_ends_at_once() -> None:
    """With the headers."""
    fixture = Fixture()
    browser = Browser()
    await fixture.streams.open(browser.receive, _yes).send(browser.send, head_only=True)
    assert browser.is_over
    assert browser.got == b""
    fixture.browser.gone.set()
    await fixture.ended()


def test_an_event_s_data_may_have_lines() -> None:
    """Each is one of the event's."""
    assert encoded(Event("a", b"{\n}")) == b"event: a\ndata: {\ndata: }\n\n"
