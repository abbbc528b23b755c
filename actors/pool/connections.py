"""The connections of one process: a gate that can be resized before connections that are made on demand.

The last one used is used next, so that the server's caches for it are warm and the others can age. Nothing is reset
between uses: a statement of ours is its own transaction or one that its user ends. What was cut short is closed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from actors.pool.backoff import Backoff
from actors.pool.connector import PooledConnection
from actors.pool.faults import NOT_LEASED, RESOURCE, RETRY_AFTER_S, describe, spoils
from actors.pool.gate import Gate
from actors.pool.line import Line, Place, Priority, expected_wait_s
from actors.pool.loan import UNNAMED, Loan
from actors.pool.sizing import Load
from actors.pool.upkeep import acquaint, answers
from actors.pool.usage import Figures, Usage
from actors.runtime.errors import ActorError, DeadlineExceeded, Overloaded, Unavailable

WAITERS_MAX = 1000
# Server processes grow with what they have seen (catalogue and plan caches); half an hour bounds that.
AGE_MAX_S = 1800.0
# How long a connection may take to end in peace (its cancelled statement included) before it is cut.
CLOSE_TIMEOUT_S = 2.0
# What a firewall or a lost machine has cut is found before a request does.
PROBE_AFTER_S = 10.0
PROBES_MAX = 2
RETRY_AFTER_MAX_S = 10.0

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
        pressed: Callable[[], None] = lambda: None,
    ) -> None:
        """``gate``, if any, is shown what becomes of each loan; who brings new work asks it, not the pool itself.
        ``pressed`` is called when a caller has to wait although everything is open, and when it has come down to a
        smaller size: there is something to tell the manager.
        """
        assert size >= 0
        self.gate = gate
        self.usage = Usage()
        self._pressed = pressed
        self._connect = connect
        self._size = size
        self._age_max_s = age_max_s
        self._loop = asyncio.get_running_loop()
        self._idle: list[PooledConnection] = []
        self._open: set[PooledConnection] = set()
        self._connecting = 0
        self._closing = 0
        self._probing = 0
        self._line = Line(waiters_max)
        # When callers that find no connection allowed may hope for some; None: nobody knows.
        self._opens_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._backoff = Backoff()
        self._backoff_timer: asyncio.TimerHandle | None = None
        self._oldest_good = 0.0
        self._last_failure = "not connected yet"
        self._closed = False
        self._emptied = asyncio.Event()
        self._mark = self.usage.mark(self._loop.time())

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
        return len(self._line)

    @property
    def in_use(self) -> int:
        """How many are lent."""
        return len(self._open) - len(self._idle) - self._probing

    @property
    def longest_use_s(self) -> float:
        """For how long the connection that was lent first of those in use has been; 0 where none is."""
        idle = set(self._idle)
        # One that is being probed was given back after it was lent.
        lent = [each.lent_at for each in self._open if each not in idle and each.lent_at >= each.used_at]
        return self._loop.time() - min(lent) if lent else 0.0

    def acquire(
        self,
        timeout_s: float,
        operation: str | None = None,
        *,
        applies: bool = True,
        priority: Priority = Priority.NORMAL,
    ) -> Loan:
        """Lend a connection for ``async with``. A free one costs no task and no timer.

        Those who wait come in the order of their deadlines and ``priority``. Entering raises ``DeadlineExceeded`` where
        none came free within ``timeout_s``, ``Overloaded`` at once where too many wait or none can be expected in time,
        ``Unavailable`` where none can be made; nothing was done. Leaving closes the connection instead of keeping
        it where the body was cut short or left a transaction open (which the server rolls back). With an ``operation``,
        whose body is one statement, an error of the database leaves as one of ours (``faults.translate``).
        """
        return Loan(self, timeout_s, operation, applies, priority)

    async def take(self, timeout_s: float, priority: Priority = Priority.NORMAL) -> PooledConnection:
        """Lend a connection until ``give_back``; raises as ``acquire`` does."""
        now = self._loop.time()
        self.usage.arrivals += 1
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                connection.lent_at = now
                return connection
            self._lose(connection)
        return await self._wait(timeout_s, priority, now)

    def give_back(
        self, connection: PooledConnection, error: BaseException | None = None, operation: str = UNNAMED
    ) -> None:
        """End a loan; ``error`` is what its user failed with, ``operation`` what it was for."""
        now = self._loop.time()
        self.usage.used(operation, now - connection.lent_at)
        self._sort_in(connection, error, now)

    def resize(self, size: int, opens_at: float | None = None) -> None:
        """Allow more or fewer. Idle ones beyond ``size`` close now, those in use when they are given back.

        With 0, callers are refused, but for those who can wait until ``opens_at``, on the loop's clock.
        """
        assert size >= 0
        self._size = size
        self._opens_at = opens_at if size == 0 else None
        if self._opens_at is not None:
            self._fail(self._line.due_before(self._opens_at), self._held())
        self._drop_surplus()
        self._grow()

    def tend(self, keep: int = 0) -> None:
        """Look after the connections, about once a second: replace idle ones that are old, probe those that were not
        used for long, and open some until there are ``keep``.
        """
        self._drop_surplus()
        now = self._loop.time()
        for connection in [each for each in self._idle if each.used_at + PROBE_AFTER_S < now]:
            if self._probing >= PROBES_MAX:
                break
            self._idle.remove(connection)
            self._probing += 1
            self._start(self._probe(connection))
        if not self._closed and self._backoff.until <= now:
            for _ in range(min(keep, self._size) - self.open):
                self._connecting += 1
                self._start(self._make_one())

    def load(self) -> Load:
        """Return the load since the last call."""
        now = self._loop.time()
        since, self._mark = self._mark, self.usage.mark(now)
        return self.usage.load(
            since, now, in_use=self.in_use, waiting=len(self._line), longest_wait_s=self._line.waited_s(now)
        )

    def figures(self) -> Figures:
        """Return all counters and what there is now."""
        return self.usage.figures(size=self._size, in_use=self.in_use, idle=len(self._idle), waiting=len(self._line))

    def renew(self) -> None:
        """Replace every connection made so far: idle ones now, those in use when they are given back."""
        self._oldest_good = self._loop.time()
        self._drop_surplus()
        self._grow()

    async def warm(self, count: int) -> int:
        """Make connections until ``count`` are open, or one fails; return how many there are."""
        for _ in range(min(count, self._size) - self.open):
            if self._backoff.until > self._loop.time():
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

    def _sort_in(self, connection: PooledConnection, error: BaseException | None, now: float) -> None:
        """Keep a connection that nobody uses, or close it."""
        if connection.is_closed() or connection not in self._open:
            self._lose(connection)
            self._grow()
        elif spoils(error) or connection.is_in_transaction():
            self._end(connection, "cut short")
        elif (why := self._surplus(connection, now)) is not None:
            self._end(connection, why)
        else:
            self._offer(connection, now)

    def _surplus(self, connection: PooledConnection, now: float) -> str | None:
        """Say why a connection has to go, None: it stays."""
        # Those that are being closed have made way already.
        if len(self._open) + self._connecting > self._size or connection.born < self._oldest_good:
            return "surplus"
        return "aged" if connection.retire_at < now else None

    def _offer(self, connection: PooledConnection, now: float) -> None:
        """Hand a good connection to whoever is next, or keep it."""
        connection.used_at = now
        place = self._line.next()
        if place is None:
            self._idle.append(connection)
            return
        self.usage.waited(now - place.since)
        connection.lent_at = now
        place.future.set_result(connection)

    def _lose(self, connection: PooledConnection) -> None:
        """Forget a connection that is dead."""
        if connection in self._open:
            self._open.remove(connection)
            self.usage.closes["broken"] += 1

    def _end(self, connection: PooledConnection, why: str) -> None:
        """Close a connection that still lives; it counts until the server has let it go."""
        self._open.discard(connection)
        self.usage.closes[why] += 1
        self._closing += 1
        self._start(self._close_one(connection))

    def _drop_surplus(self) -> None:
        """Close what is idle and too many or too old, the longest unused first, and forget what is dead."""
        now = self._loop.time()
        kept: list[PooledConnection] = []
        for connection in self._idle:
            if connection.is_closed():
                self._lose(connection)
            elif (why := self._surplus(connection, now)) is not None:
                self._end(connection, why)
            else:
                kept.append(connection)
        self._idle = kept

    async def _wait(self, timeout_s: float, priority: Priority, now: float) -> PooledConnection:
        place = self._line.place(self._loop.create_future(), now + timeout_s, priority, now)
        self._refuse_hopeless(place, now)
        displaced = self._line.join(place)
        if displaced is not None:
            self.usage.refused["full"] += 1
            self._fail([displaced], Overloaded("database connections", RETRY_AFTER_S))
        self._grow()
        if self.open >= self._size and len(self._line) > self._connecting:
            self._pressed()
        timer = self._loop.call_later(timeout_s, self._expire, place)
        try:
            connection: PooledConnection = await place.future
            return connection
        except BaseException:
            self._leave(place)
            raise
        finally:
            timer.cancel()

    def _refuse_hopeless(self, place: Place, now: float) -> None:
        """Refuse at once who cannot be served in time."""
        if self._closed:
            raise Unavailable(RESOURCE, "the pool is closed", RETRY_AFTER_S)
        if self._size == 0:
            if self._opens_at is None:
                raise Unavailable(RESOURCE, NOT_LEASED, RETRY_AFTER_S)
            if place.deadline < self._opens_at:
                self.usage.refused["held"] += 1
                raise self._held()
            return
        if not self._open and self._backoff.until > now:
            # It was tried a moment ago. To wait for the next try would hold every request for nothing.
            raise Unavailable(RESOURCE, self._last_failure, RETRY_AFTER_S)
        service_s = self.usage.service_s
        if service_s is None or self.in_use < self._size:
            return
        wait_s = expected_wait_s(self._line.ahead(place), self._size, service_s)
        if now + wait_s > place.deadline:
            self.usage.refused["hopeless"] += 1
            raise Overloaded("database connections", min(RETRY_AFTER_MAX_S, max(RETRY_AFTER_S, wait_s)))

    def _held(self) -> Unavailable:
        assert self._opens_at is not None
        left_s = max(RETRY_AFTER_S, self._opens_at - self._loop.time())
        return Unavailable(RESOURCE, "the server is being worked on", left_s)

    def _leave(self, place: Place) -> None:
        """Take a waiter out of the line, and what it was given in the same moment back."""
        self._line.leave(place)
        future = place.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self._sort_in(future.result(), None, self._loop.time())

    def _expire(self, place: Place) -> None:
        if not place.future.done():
            self.usage.refused["late"] += 1
            place.future.set_exception(DeadlineExceeded("wait for a database connection"))

    def _grow(self) -> None:
        """Make as many connections as are waited for and allowed."""
        if self._closed:
            if not self.open:
                self._emptied.set()
            return
        wanted = min(len(self._line) - self._connecting, self._size - self.open)
        if wanted <= 0:
            return
        wait_s = self._backoff.until - self._loop.time()
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
            await acquaint(connection, self._open, hurry=lambda: len(self._line) > 0)
        except Exception as error:
            self._connecting -= 1
            self._failed(error)
            return
        except BaseException:
            self._connecting -= 1
            raise
        self._connecting -= 1
        self._backoff.succeeded()
        self.usage.connects += 1
        # When its making began, so that `renew` also replaces what was on its way.
        connection.born = started
        connection.lent_at, connection.used_at = 0.0, started
        connection.retire_at = started + self._age_max_s * random.uniform(0.9, 1.0)
        self._open.add(connection)
        self._sort_in(connection, None, self._loop.time())

    def _failed(self, error: Exception) -> None:
        """Wait before the next try; with no connection left there is nothing to wait in line for."""
        self._backoff.failed(self._loop.time())
        self._last_failure = error.reason if isinstance(error, Unavailable) else describe(error)
        self._drop_surplus()
        if not self._open and not self._connecting:
            self._fail_waiters(self._last_failure)
        self._grow()

    def _fail_waiters(self, reason: str) -> None:
        self._fail(self._line.due_before(float("inf")), Unavailable(RESOURCE, reason, RETRY_AFTER_S))

    def _fail(self, places: list[Place], error: ActorError) -> None:
        for place in places:
            if not place.future.done():
                place.future.set_exception(error)

    async def _probe(self, connection: PooledConnection) -> None:
        """Ask an idle connection whether the server still hears it; close it where it does not."""
        alive = False
        try:
            alive = await answers(connection)
        finally:
            self._probing -= 1
            if not alive:
                connection.terminate()
            self._sort_in(connection, None, self._loop.time())

    async def _close_one(self, connection: PooledConnection) -> None:
        try:
            await connection.close(timeout=CLOSE_TIMEOUT_S)
        except Exception:
            connection.terminate()
        finally:
            self._closing -= 1
            self._grow()
            if self.open == self._size:
                self._pressed()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
