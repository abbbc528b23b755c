"""HTTP/1.1 as far as a load needs it: requests that were made before, and answers of which the status counts."""

from __future__ import annotations

import asyncio
import json
import ssl
import uuid
from typing import cast
from urllib.parse import urlsplit

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


class Broken(Exception):
    """The connection ended before the answer did."""


def payment_request(url: str, key: str, description: str) -> bytes:
    """Return the bytes of a new payment of 19.99 USD by tok_visa, under an idempotency key of its own."""
    body = json.dumps(
        {"amount": 1999, "currency": "USD", "payment_method": "tok_visa", "description": description}
    ).encode()
    head = (
        f"POST /v1/payments HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4().hex}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def read_status(buffer: bytes) -> tuple[int, bool] | None:
    """Return the status of a whole answer and whether the connection closes after it, None while more is to come.

    Raises:
        Broken: what is there is no answer with a length.
    """
    end = buffer.find(_END)
    if end < 0:
        return None
    head = buffer[: end + 2].lower()
    at = head.find(_LENGTH)
    if not head.startswith(b"http/1.1 ") or at < 0:
        raise Broken("an answer without a length")
    length = int(head[at + len(_LENGTH) : head.index(b"\r\n", at + 2)])
    if len(buffer) < end + len(_END) + length:
        return None
    return int(head[9:12]), b"\r\nconnection: close" in head


class Connection(asyncio.Protocol):
    """One request at a time over one connection."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> int:
        """Send a request and return the status of its answer; raise Broken where none comes."""
        if self._transport is None or self._transport.is_closing():
            raise Broken("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """End the connection; what waits for an answer gets none."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._fail(Broken(str(exc or "closed")))

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._buffer += data
        try:
            found = read_status(self._buffer)
        except (Broken, ValueError) as fault:
            self._fail(Broken(str(fault)))
            self.close()
            return
        if found is None:
            return
        status, closes = found
        self._buffer = b""
        if closes:
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)

    def _fail(self, fault: Broken) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)


class Pool:
    """Connections to one gateway, made as they are needed; at most so many at once."""

    def __init__(self, url: str, context: ssl.SSLContext | None, connections_max: int) -> None:
        address = urlsplit(url)
        assert address.hostname is not None
        self._host, self._port = address.hostname, address.port or (443 if address.scheme == "https" else 80)
        self._context = context if address.scheme == "https" else None
        self._connections_max = connections_max
        self._idle: list[Connection] = []
        self._open = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether all that there may be are busy."""
        return self._open >= self._connections_max

    async def ask(self, request: bytes) -> int:
        """Send a request over a connection of its own and return the status; raise Broken or OSError."""
        self._open += 1
        connection: Connection | None = None
        try:
            connection = self._take() or await self._connect()
            status = await connection.ask(request)
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        finally:
            self._open -= 1
        if connection.is_usable:
            self._idle.append(connection)
        return status

    def close(self) -> None:
        """End all that are idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._context)
        return connection
