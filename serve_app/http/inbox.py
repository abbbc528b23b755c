"""What a client sends, which can be watched for the client's end before it is read."""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import Message, Receive

_KEPT_BYTES_MAX = 256 * 1024
"""More than any body that is taken: one that sends on is not watched, but refused when it is read."""


class Inbox:
    """A `receive` that gives what was watched first. Either is awaited at a time, never both."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Message] = deque()
        self._bytes = 0

    async def __call__(self) -> Message:
        """Return the next message."""
        return self._kept.popleft() if self._kept else await self._receive()

    async def hung_up(self) -> None:
        """Return when the client is gone. Nothing is lost where this is cancelled."""
        while self._bytes <= _KEPT_BYTES_MAX:
            message = await self._receive()
            self._kept.append(message)
            if message["type"] == "http.disconnect":
                return
            self._bytes += len(message.get("body", b""))
        await asyncio.get_running_loop().create_future()


def whole(body: bytes) -> Receive:
    """Return a `receive` that gives a body which was read before."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
