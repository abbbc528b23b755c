"""Calls between processes over a connection of their own, for what is called by the ten thousand.

A load of reads and changes took 2.45 s of processor time for 1,000 requests by calls of actors, and 0.68 s over sockets
(`python -m tests.bench.reads --parts mixed`, one run each). So actors are found, started and supervised by Ray, and
where calls are small and many they hand out the address of a server in their process. Whoever knows the address has
the key as well, and proves it (HMAC-SHA256 of a nonce): only then is anything unpickled. Traffic is not encrypted, as
Ray's own is not.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import pickle
import secrets
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, cast

from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Unavailable

_LENGTH = struct.Struct("!I")
_FRAME_MAX = 64 * 1024 * 1024
_NONCE_BYTES = 32
_DIGEST = "sha256"
_CONNECT_TIMEOUT_S = 1.0
_RETRY_AFTER_S = 1.0


class Address(NamedTuple):
    """Where a server listens, and the key that it wants to be known."""

    host: str
    port: int
    key: bytes


Handler = Callable[..., Any]
"""A method that is served. What it returns is the answer, or is awaited for it; what answers at once costs no task."""


class ChannelServer:
    """Serves some methods on a port that the system chooses."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._key = secrets.token_bytes(32)
        self._server: asyncio.Server | None = None
        self._open: set[_Incoming] = set()

    async def start(self, host: str) -> Address:
        """Listen, and return where."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Incoming(self._handlers, self._key, self._open), host, 0)
        return Address(host, self._server.sockets[0].getsockname()[1], self._key)

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._open):
                connection.end()
            await self._server.wait_closed()


class Channel:
    """A connection that is made when it is needed, and again after it was lost. Bound to one loop.

    ``find`` gives the address of the server as it is now.
    """

    def __init__(self, name: str, find: Callable[[], Awaitable[Address]]) -> None:
        self._name = name
        self._find = find
        self._connection: _Outgoing | None = None
        self._connecting: asyncio.Task[_Outgoing] | None = None

    async def call(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call once and return the answer, or raise what the method raised.

        Raises:
            Unavailable: there is no connection to be had; nothing was done.
            OutcomeUnknown: the connection was lost before the answer came.
            DeadlineExceeded: there was no answer in time; it may have been done all the same.
        """
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                connection = self._connection
                if connection is None or connection.is_lost:
                    connection = await self._connect()
                return await connection.call(method, arguments)
        except TimeoutError:
            if not deadline.expired():
                raise  # The method's own.
            raise DeadlineExceeded(f"{self._name}.{method}") from None

    def close(self) -> None:
        """End the connection; a later call makes another."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.end()

    async def _connect(self) -> _Outgoing:
        """Make a connection; callers that come meanwhile share it."""
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connected())
            self._connecting.add_done_callback(self._connecting_ended)
        return await asyncio.shield(self._connecting)

    async def _connected(self) -> _Outgoing:
        address = await self._find()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: _Outgoing(self._name, address.key), address.host, address.port
                )
                await connection.ready
        except (OSError, TimeoutError) as error:
            raise Unavailable(self._name, f"cannot connect: {type(error).__name__}", _RETRY_AFTER_S) from None
        self._connection = connection
        return connection

    def _connecting_ended(self, task: asyncio.Task[_Outgoing]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # Whoever waited is told.


class _Frames(asyncio.Protocol):
    """Cuts what arrives into frames. What is longer than any frame may be ends the connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are transports by behaviour alone.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > _FRAME_MAX:
                self.end()
                return
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            self.frame_received(bytes(buffer[start + _LENGTH.size : end]))
            start = end
        del buffer[:start]

    def frame_received(self, frame: bytes) -> None:
        """Take one frame."""
        raise NotImplementedError

    def send(self, frame: bytes) -> None:
        """Send one frame, if there still is anybody to send it to."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_LENGTH.pack(len(frame)) + frame)

    def end(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class _Incoming(_Frames):
    """One connection of a server."""

    def __init__(self, handlers: Mapping[str, Handler], key: bytes, connections: set[_Incoming]) -> None:
        super().__init__()
        self._handlers = handlers
        self._key = key
        self._connections = connections
        self._nonce = secrets.token_bytes(_NONCE_BYTES)
        self._is_known = False
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.add(self)
        self.send(self._nonce)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._connections.discard(self)
        for task in self._tasks:
            # Nobody hears the answer. What a call has changed by now is the same as if the answer had been lost.
            task.cancel()

    def frame_received(self, frame: bytes) -> None:
        if self._is_known:
            self._call(*pickle.loads(frame))
        elif hmac.compare_digest(frame, hmac.digest(self._key, self._nonce, _DIGEST)):
            self._is_known = True
            self.send(b"")
        else:
            self.end()

    def _call(self, number: int, method: str, arguments: tuple[Any, ...]) -> None:
        try:
            answer = self._handlers[method](*arguments)
        except Exception as error:
            self.send(_pickled((number, False, error)))
            return
        if not inspect.isawaitable(answer):
            self.send(_pickled((number, True, answer)))
            return
        task = asyncio.get_running_loop().create_task(self._answer(number, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int, coming: Awaitable[Any]) -> None:
        try:
            answer = (number, True, await coming)
        except Exception as error:
            answer = (number, False, error)
        self.send(_pickled(answer))


class _Outgoing(_Frames):
    """The connection of a client."""

    def __init__(self, name: str, key: bytes) -> None:
        super().__init__()
        self._name = name
        self._key = key
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._has_answered = False
        self.is_lost = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Send a call and wait for its answer."""
        if self.is_lost:
            raise Unavailable(self._name, "the connection was lost", _RETRY_AFTER_S)
        self._number += 1
        number = self._number
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send(pickle.dumps((number, method, arguments), protocol=5))
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    def frame_received(self, frame: bytes) -> None:
        if self.ready.done():
            number, succeeded, value = pickle.loads(frame)
            answer = self._waiting.get(number)
            if answer is None or answer.done():
                return  # Its caller gave up.
            if succeeded:
                answer.set_result(value)
            else:
                answer.set_exception(value)
        elif not self._has_answered and len(frame) == _NONCE_BYTES:
            self._has_answered = True
            self.send(hmac.digest(self._key, frame, _DIGEST))
        elif self._has_answered and not frame:
            self.ready.set_result(None)
        else:
            self.end()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError())
            self.ready.exception()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(OutcomeUnknown(self._name, "the connection was lost"))


def _pickled(answer: tuple[int, bool, Any]) -> bytes:
    try:
        return pickle.dumps(answer, protocol=5)
    except Exception as error:
        # An error that cannot cross: a defect, which arrives as text.
        number, _, value = answer
        return pickle.dumps((number, False, RuntimeError(f"{value!r} ({type(error).__name__})")), protocol=5)
