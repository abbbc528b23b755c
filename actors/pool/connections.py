"""A pool of connections of this process, as large as its lease.

The last one used is used next, so that idle ones can age. Nothing is reset between uses: our statements leave no
state, and a connection whose statement was cut short is closed, never used again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from actors.runtime.errors import DeadlineExceeded, Overloaded, Unavailable

_CONNECT_TIMEOUT_S = 5.0
_WAITERS_MAX = 1000
_RETRY_AFTER_S = 1.0
_NO_CONNECTION = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError,
                  asyncpg.TooManyConnectionsError, asyncpg.AdminShutdownError, asyncpg.InterfaceError, TimeoutError)  # fmt: skip


class ConnectionPool:
    """Hands out up to `size` connections; more callers wait, within bounds."""

    def __init__(self, url: str, *, name: str, size: int) -> None:
        self._url = url
        self._name = name
        self._size = size
        self._idle: list[asyncpg.Connection] = []
        self._held = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def size(self) -> int:
        """How many connections may be open."""
        return self._size

    def resize(self, size: int) -> None:
        """Allow more or fewer; connections in use beyond the size close when they are given back."""
        assert size >= 0
        self._size = size
        while self._idle and self._held + len(self._idle) > size:
            self._idle.pop(0).terminate()
        self._wake()

    @asynccontextmanager
    async def acquire(self, timeout_s: float) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection.

        Raises:
            Unavailable: no connection could be made; nothing was done.
            Overloaded: too many wait. DeadlineExceeded: none came free within `timeout_s`.
        """
        if self._held < self._size and not self._waiters:
            self._held += 1
        else:
            await self._wait(timeout_s)
        connection = None
        try:
            connection = self._idle.pop() if self._idle else None
            if connection is None or connection.is_closed():
                connection = await self._connect()
            clean = False
            try:
                yield connection
                clean = True
            except asyncpg.PostgresError as error:
                # The server answered: the connection is good, unless the server is ending it.
                clean = not isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError)
                raise
            finally:
                self._give_back(connection, clean)
        finally:
            self._held -= 1
            self._wake()

    async def close(self) -> None:
        """Close every connection that is not in use; the others close when they are given back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()

    def _give_back(self, connection: asyncpg.Connection, clean: bool) -> None:
        over = self._held + len(self._idle) > self._size
        if not clean or over or self._closed or connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)

    async def _connect(self) -> asyncpg.Connection:
        if self._closed:
            raise Unavailable("database", "the pool is closed", _RETRY_AFTER_S)
        try:
            return await asyncpg.connect(
                self._url, timeout=_CONNECT_TIMEOUT_S, server_settings={"application_name": self._name, "jit": "off"}
            )
        except _NO_CONNECTION as error:
            raise Unavailable("database", f"cannot connect: {type(error).__name__}", _RETRY_AFTER_S) from error

    async def _wait(self, timeout_s: float) -> None:
        if len(self._waiters) >= _WAITERS_MAX:
            raise Overloaded("connections", _RETRY_AFTER_S)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():  # It was granted in the same moment.
                self._held -= 1
                self._wake()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded("wait for a connection") from None
            raise

    def _wake(self) -> None:
        """Grant what is free to those who waited longest; what is granted counts as held from here on."""
        while self._waiters and self._held < self._size:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._held += 1
                waiter.set_result(None)
