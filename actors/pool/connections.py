"""The connections of one process: a gate that can be resized before connections that are made on demand.

The last one used is used next, so that the server's caches for it are warm and the others can age. Nothing is reset
between uses: a statement of ours is its own transaction or one that its user ends. What was cut short is closed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from actors.pool.connector import PooledConnection
from actors.pool.faults import NOT_LEASED, RESOURCE, RETRY_AFTER_S, describe, spoils
from actors.pool.gate import Gate
from actors.pool.loan import Loan
from actors.runtime.errors import DeadlineExceeded, Overloaded, Unavailable

WAITERS_MAX = 1000
# Server processes grow with what they have seen (catalogue and plan caches); half an hour bounds that.
AGE_MAX_S = 1800.0
# The first reconnect comes at once and the slowest once a second: a server that came back is found within a second,
# and one that is starting is not flooded.
BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 1.0
# How long a connection may take to end in peace (its cancelled statement included) before it is cut.
CLOSE_TIMEOUT_S = 2.0

Connect = Callable[[], Awaitable[PooledConnection]]


class ConnectionPool:
    """Lend at most ``size`` connections; more callers wait in line, within bounds.

    Connections that are being made or closed count, so the server never sees more than ``size`` of this process.
    ``connect`` raises ``Unavailable`` where it fails. Bound to the loop that it is created on.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        size: int = 0,
        waiters_max: int = WAITERS_MAX,
        age_max_s: float = AGE_MAX_S,
        gate: Gate | None = None,
    ) -> None:
        """``gate``, if any, is shown what becomes of each loan; who brings new work asks it, not the pool itself."""
        assert size >= 0
        self.gate = gate
        self._connect = connect
        self._size = size
        self._waiters_max = waiters_max
        self._age_max_s = age_max_s
        self._loop = asyncio.get_running_loop()
        self._idle: list[PooledConnection] = []
        self._open: set[PooledConnection] = set()
        self._connecting = 0
        self._closing = 0
        self._waiters: deque[asyncio.Future[PooledConnection]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._backoff_s = 0.0
        self._backoff_until = 0.0
        self._backoff_timer: asyncio.TimerHandle | None = None
        self._oldest_good = 0.0
        self._last_failure = "not connected yet"
        self._closed = False
        self._emptied = asyncio.Event()

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self._size

    @property
    def open(self) -> int:
        """How many connections the server may see of this pool: in use, idle, being made or being closed."""
        return len(self._open) + self._connecting + self._closing

    @property
    def idle(self) -> int:
        """How many wait for use."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many callers stand in line."""
        return len(self._waiters)

    def acquire(self, timeout_s: float, operation: str | None = None, *, applies: bool = True) -> Loan:
        """Lend a connection for ``async with``. A free one costs no task and no timer.

        Entering raises ``DeadlineExceeded`` where none came free within ``timeout_s``, ``Overloaded`` where too many
        wait, ``Unavailable`` where none can be made; nothing was done. Leaving closes the connection instead of keeping
        it where the body was cut short or left a transaction open (which the server rolls back). With an ``operation``,
        whose body is one statement, an error of the database leaves as one of ours (``faults.translate``).
        """
        return Loan(self, timeout_s, operation, applies)

    async def take(self, timeout_s: float) -> PooledConnection:
        """Lend a connection until ``give_back``; raises as ``acquire`` does."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open.discard(connection)
        return await self._wait(timeout_s)

    def give_back(self, connection: PooledConnection, error: BaseException | None = None) -> None:
        """End a loan; ``error`` is what its user failed with."""
        if connection.is_closed() or connection not in self._open:
            self._forget(connection)
        elif spoils(error) or connection.is_in_transaction() or self._is_surplus(connection):
            self._end(connection)
        else:
            self._offer(connection)

    def resize(self, size: int) -> None:
        """Allow more or fewer. Idle ones beyond ``size`` close now, those in use when they are given back.

        Called with each renewal of the lease, so that idle connections too are replaced when they are old.
        """
        assert size >= 0
        self._size = size
        self._drop_surplus()
        self._grow()

    def renew(self) -> None:
        """Replace every connection made so far: idle ones now, those in use when they are given back."""
        self._oldest_good = self._loop.time()
        self._drop_surplus()
        self._grow()

    async def warm(self, count: int) -> int:
        """Make connections until ``count`` are open, or one fails; return how many there are."""
        for _ in range(min(count, self._size) - self.open):
            if self._backoff_until > self._loop.time():
                break
            self._connecting += 1
            await self._make_one()
        return len(self._open)

    async def close(self, grace_s: float = CLOSE_TIMEOUT_S) -> None:
        """Refuse new loans, close idle connections, wait ``grace_s`` for those in use and then cut them."""
        self._closed = True
        self._fail_waiters("the pool is closed")
        if self._backoff_timer is not None:
            self._backoff_timer.cancel()
        self.resize(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._emptied.wait()
        for connection in list(self._open):
            connection.terminate()
        self._open.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_surplus(self, connection: PooledConnection) -> bool:
        # Those that are being closed have made way already.
        too_many = len(self._open) + self._connecting > self._size
        return too_many or connection.born < self._oldest_good or connection.retire_at < self._loop.time()

    def _offer(self, connection: PooledConnection) -> None:
        """Hand a good connection to whoever waited longest, or keep it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def _forget(self, connection: PooledConnection) -> None:
        self._open.discard(connection)
        self._grow()

    def _end(self, connection: PooledConnection) -> None:
        """Close a connection that still lives; it counts until the server has let it go."""
        self._open.discard(connection)
        self._closing += 1
        self._start(self._close_one(connection))

    def _drop_surplus(self) -> None:
        """Close what is idle and too many or too old, the longest unused first, and forget what is dead."""
        kept: list[PooledConnection] = []
        for connection in self._idle:
            if connection.is_closed():
                self._open.discard(connection)
            elif self._is_surplus(connection):
                self._end(connection)
            else:
                kept.append(connection)
        self._idle = kept

    async def _wait(self, timeout_s: float) -> PooledConnection:
        if self._closed:
            raise Unavailable(RESOURCE, "the pool is closed", RETRY_AFTER_S)
        if self._size == 0:
            raise Unavailable(RESOURCE, NOT_LEASED, RETRY_AFTER_S)
        if len(self._waiters) >= self._waiters_max:
            raise Overloaded("database connections", RETRY_AFTER_S)
        if not self._open and self._backoff_until > self._loop.time():
            # It was tried a moment ago. To wait for the next try would hold every request for nothing.
            raise Unavailable(RESOURCE, self._last_failure, RETRY_AFTER_S)
        waiter: asyncio.Future[PooledConnection] = self._loop.create_future()
        self._waiters.append(waiter)
        self._grow()
        timer = self._loop.call_later(timeout_s, _expire, waiter)
        try:
            return await waiter
        except BaseException:
            self._leave(waiter)
            raise
        finally:
            timer.cancel()

    def _leave(self, waiter: asyncio.Future[PooledConnection]) -> None:
        """Take a waiter out of the line, and what it was given in the same moment back."""
        with suppress(ValueError):
            self._waiters.remove(waiter)
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self.give_back(waiter.result())

    def _grow(self) -> None:
        """Make as many connections as are waited for and allowed."""
        if self._closed:
            if not self.open:
                self._emptied.set()
            return
        wanted = min(len(self._waiters) - self._connecting, self._size - self.open)
        if wanted <= 0:
            return
        wait_s = self._backoff_until - self._loop.time()
        if wait_s > 0:
            if self._backoff_timer is None:
                self._backoff_timer = self._loop.call_later(wait_s, self._end_backoff)
            return
        for _ in range(wanted):
            self._connecting += 1
            self._start(self._make_one())

    def _end_backoff(self) -> None:
        self._backoff_timer = None
        self._grow()

    async def _make_one(self) -> None:
        """Make the connection that ``_connecting`` already counts."""
        started = self._loop.time()
        try:
            connection = await self._connect()
        except Exception as error:
            self._connecting -= 1
            self._failed(error)
            return
        except BaseException:
            self._connecting -= 1
            raise
        self._connecting -= 1
        self._backoff_s = self._backoff_until = 0.0
        # When its making began, so that `renew` also replaces what was on its way.
        connection.born = started
        connection.retire_at = started + self._age_max_s * random.uniform(0.9, 1.0)
        self._open.add(connection)
        self.give_back(connection)

    def _failed(self, error: Exception) -> None:
        """Wait before the next try; with no connection left there is nothing to wait in line for."""
        now = self._loop.time()
        if now >= self._backoff_until:  # Those that fail together count once.
            self._backoff_s = min(BACKOFF_MAX_S, max(BACKOFF_MIN_S, self._backoff_s * 2))
            self._backoff_until = now + self._backoff_s * random.uniform(0.5, 1.0)
        self._last_failure = error.reason if isinstance(error, Unavailable) else describe(error)
        self._drop_surplus()
        if not self._open and not self._connecting:
            self._fail_waiters(self._last_failure)
        self._grow()

    def _fail_waiters(self, reason: str) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(Unavailable(RESOURCE, reason, RETRY_AFTER_S))

    async def _close_one(self, connection: PooledConnection) -> None:
        try:
            await connection.close(timeout=CLOSE_TIMEOUT_S)
        except Exception:
            connection.terminate()
        finally:
            self._closing -= 1
            self._grow()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _expire(waiter: asyncio.Future[PooledConnection]) -> None:
    if not waiter.done():
        waiter.set_exception(DeadlineExceeded("wait for a database connection"))
