"""A socket by which processes of the monitor's own machine tell it what they measure.

A call of an actor wakes several threads of both processes, however little is said; two frames over a Unix socket wake
one of each. On two slow cores the monitor of an idle gateway took 6.0 % of one with calls and takes 2.5 % with the
socket (`python -m tests.bench.monitoring` compares all that monitoring costs). The socket is one of Linux's abstract
ones: it is no file, so none is left behind, its name cannot be guessed, and both sides see to it that the other process
is of the same user. On other systems there is none, and processes call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import secrets
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

from actors.monitor.messages import Batch, Reply
from actors.runtime.client import RETRY_AFTER_S
from actors.runtime.errors import Overloaded, Unavailable

FRAME_MAX_BYTES = 16 << 20
REPORT_TIMEOUT_S = 1.0
_LENGTH = struct.Struct("!I")
_CREDENTIALS = struct.Struct("3i")
_ABSTRACT = "\0"

_logger = logging.getLogger(__name__)

Take = Callable[[Batch], Awaitable[Reply]]


class Inlet:
    """Takes batches from processes of this machine. Bound to one loop."""

    def __init__(self, take: Take) -> None:
        """``take`` is called with each batch; what it returns is answered."""
        self._take = take
        self._name = f"easypay-monitor-{secrets.token_hex(16)}"
        self._server: asyncio.Server | None = None

    @property
    def name(self) -> str:
        """What ``InletPort`` is given; empty while it is not open."""
        return self._name if self._server is not None else ""

    async def open(self) -> None:
        """Listen, where the system has such sockets. Safe to repeat."""
        if self._server is not None or sys.platform != "linux":
            return
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(_ABSTRACT + self._name)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening)

    async def close(self) -> None:
        """Listen no longer. Safe to repeat."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not _is_ours(writer.get_extra_info("socket")):
                _logger.warning("a process of another user would tell the monitor something")
                return
            # Until the process closes it, or ends.
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    _write(writer, await self._take(pickle.loads(await _read(reader))))
                    await writer.drain()
        except Exception:
            # The process tells it again by a call, and that says what is wrong with it.
            _logger.exception("what a process told by the monitor's socket cannot be taken")
        finally:
            writer.close()


class InletPort:
    """Tells an inlet of this machine, one batch after the other. Bound to one loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect. Raises ``Unavailable`` where nobody listens, as on another machine."""
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # It is there at once or not at all.
            connected.connect(_ABSTRACT + self._name)
            if not _is_ours(connected):
                raise ConnectionRefusedError("it is another user's")
        except OSError as refused:
            connected.close()
            raise Unavailable(self._name, str(refused), RETRY_AFTER_S) from None
        self._stream = await asyncio.open_unix_connection(sock=connected)

    async def report(self, batch: Batch) -> Reply:
        """Tell a batch; one that comes twice counts once. Raises ``Unavailable``, and is closed then."""
        if self._stream is None:
            raise Unavailable(self._name, "it is not connected", RETRY_AFTER_S)
        reader, writer = self._stream
        is_answered = False
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                _write(writer, batch)
                await writer.drain()
                reply: Reply = pickle.loads(await _read(reader))
            is_answered = True
            return reply
        except (OSError, EOFError, TimeoutError) as lost:
            raise Unavailable(self._name, type(lost).__name__, RETRY_AFTER_S) from None
        finally:
            if not is_answered:
                # Whoever was cancelled as well: the next answer would be taken for that to another batch.
                self.close()

    def close(self) -> None:
        """Disconnect. Safe to repeat."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].close()


def _write(writer: asyncio.StreamWriter, message: Batch | Reply) -> None:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    if len(body) > FRAME_MAX_BYTES:
        raise Overloaded("the monitor's socket", RETRY_AFTER_S)
    writer.write(_LENGTH.pack(len(body)) + body)


async def _read(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > FRAME_MAX_BYTES:
        raise ConnectionError(f"a frame of {length} bytes")
    return await reader.readexactly(length)


def _is_ours(connected: socket.socket) -> bool:
    """Tell whether the other process is of this user."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return bool(user == os.getuid())
