"""The connections of one process: opened on demand up to a bound, used again while the server keeps them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

from tests.bench.overload.answer import Answer, Outcome
from tests.bench.overload.connection import Connection, Exchange

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 30.0
SWEEP_S = 1.0
# A connection that was already closed says so within a round trip. What is lost later may have been carried out.
ALREADY_CLOSED_S = 1.0


class Pool:
    """Sends exchanges over connections to one address.

    Who was used last is used next, so that no more are open than are needed; or, where it ``rotates``, who has rested
    longest. A request that meets a connection which the server closed while it rested is sent once more over a new one,
    as every client of a keep-alive server does; it must be safe to repeat. One that is not answered ANSWER_TIMEOUT_S
    after it was due is given up.
    """

    def __init__(self, host: str, port: int, *, connections_max: int, rotates: bool = False) -> None:
        self._address = (host, port)
        self._connections_max = connections_max
        self._rotates = rotates
        self._began_at = time.perf_counter()
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._give_up)
        self.opened = 0
        self.closed_idle = 0
        self.resent = 0

    @property
    def now_s(self) -> float:
        """The seconds since the pool was made, or its clock started again: the clock of the exchanges."""
        return time.perf_counter() - self._began_at

    def restart_clock(self) -> None:
        """Let time begin now; nothing may be on its way."""
        self._began_at = time.perf_counter()

    def send(self, exchange: Exchange) -> None:
        """Send it now, or over a new connection as soon as that is open; with no room for one it ends as UNSENT."""
        exchange.sent_s = self.now_s
        if self._idle:
            connection = self._idle.popleft() if self._rotates else self._idle.pop()
            connection.send(exchange)
        elif len(self._open) < self._connections_max:
            self._send_fresh(exchange)
        else:
            exchange.done(exchange, Outcome.UNSENT, None, f"all {self._connections_max} connections are in use")

    async def ask(self, request: bytes) -> tuple[Outcome, Answer | None, str]:
        """Send a request and wait for what becomes of it."""
        future: asyncio.Future[tuple[Outcome, Answer | None, str]] = asyncio.get_running_loop().create_future()

        def done(_exchange: Exchange, outcome: Outcome, answer: Answer | None, what: str) -> None:
            if not future.done():
                future.set_result((outcome, answer, what))

        self.send(Exchange(request, self.now_s, done))
        return await future

    async def open(self, number: int, at_once: int = 100) -> None:
        """Open so many connections before any request; raises OSError where one is refused."""
        for first in range(0, number, at_once):
            await asyncio.gather(*(self._connect(self._new(None)) for _ in range(min(at_once, number - first))))

    def close(self) -> None:
        """Close every connection; what is still on its way ends as UNANSWERED."""
        self._is_closed = True
        self._sweep.cancel()
        for task in self._opening:
            task.cancel()
        for connection in list(self._open):
            connection.abandon(Outcome.UNANSWERED, "the run was over")

    def is_ready(self, connection: Connection) -> None:
        """Keep it for the next request."""
        self._idle.append(connection)

    def is_lost(self, connection: Connection, exchange: Exchange | None, why: str) -> None:
        """Forget a connection, and send again what it did not answer because it was already closed."""
        self._open.discard(connection)
        if exchange is None:
            with suppress(ValueError):  # closed by us, or after an answer that said so
                self._idle.remove(connection)
                self.closed_idle += not self._is_closed
        elif self._was_closed_at_rest(connection, exchange):
            # Over a new one: others that rest may be closed as well. The one that was lost has left room for it.
            self.resent += 1
            exchange.sent_s = self.now_s
            self._send_fresh(exchange)
        else:
            exchange.done(exchange, Outcome.BROKEN, None, why)

    def _send_fresh(self, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._open_for(self._new(exchange)))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _new(self, exchange: Exchange | None) -> Connection:
        connection = Connection(self, exchange)
        # At once, so that the bound holds for those that are still being opened.
        self._open.add(connection)
        return connection

    async def _open_for(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connect(connection)
        except OSError:  # TimeoutError is one; the exchange was told
            return

    async def _connect(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: connection, *self._address)
        except BaseException as error:
            self._open.discard(connection)
            connection.abandon(Outcome.BROKEN, f"not connected: {error!r}")
            raise
        self.opened += 1

    def _was_closed_at_rest(self, connection: Connection, exchange: Exchange) -> bool:
        is_quick = self.now_s - exchange.sent_s < ALREADY_CLOSED_S
        return bool(connection.served) and not connection.has_begun_answer and is_quick

    def _give_up(self) -> None:
        oldest_s = self.now_s - ANSWER_TIMEOUT_S
        for connection in list(self._open):
            if connection.exchange is not None and connection.exchange.due_s < oldest_s:
                connection.abandon(Outcome.UNANSWERED, f"nothing within {ANSWER_TIMEOUT_S:g} s")
        self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._give_up)
