"""What is watched for the client's end is read afterwards as if it had not been."""

from __future__ import annotations

import asyncio

import pytest

from serve_app.http.body import read_body
from serve_app.http.inbox import Inbox
from tests.unit.http.exchange import JSON, body_messages, http_scope, receive_of


async def test_a_body_that_was_watched_is_whole() -> None:
    """Its parts come in their order."""
    inbox = Inbox(receive_of(*body_messages(b'{"a":', b"1}")))
    await inbox.hung_up()
    assert await read_body(http_scope("POST", "/", [JSON]), inbox) == b'{"a":1}'


async def test_a_watch_that_is_called_off_loses_nothing() -> None:
    """A message that comes afterwards is read by whoever asks next."""
    arrivals: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    inbox = Inbox(arrivals.get)
    watch = asyncio.create_task(inbox.hung_up())
    await asyncio.sleep(0)
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    for message in body_messages(b"12", b"34"):
        arrivals.put_nowait(dict(message))
    assert await read_body(http_scope("POST", "/", [JSON]), inbox) == b"1234"


async def test_an_endless_body_is_not_kept() -> None:
    """The watch reads no more than a bound, and does not take that for the client's end."""
    read = 0

    async def receive() -> dict[str, object]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 65536, "more_body": True}

    watch = asyncio.create_task(Inbox(receive).hung_up())
    for _ in range(50):
        await asyncio.sleep(0)
    assert (watch.done(), read) == (False, 5)
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
