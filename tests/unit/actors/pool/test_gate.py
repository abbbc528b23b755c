"""New work is refused at once while the database is away; what was let in goes on, and finds out that it is back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from actors.pool.connections import ConnectionPool
from actors.pool.database import Database
from actors.pool.faults import Sign, tells
from actors.pool.gate import POLICY, Gate
from actors.pool.lease import LeasedPool
from actors.runtime.breaker import Breaker, State
from actors.runtime.clock import ManualClock
from actors.runtime.errors import DeadlineExceeded, Unavailable


def _wrapped(cause: BaseException) -> Unavailable:
    error = Unavailable("database", "cannot connect", 1.0)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "connected", "expected"),
    [
        (None, True, Sign.WELL),
        (asyncpg.UniqueViolationError("x"), True, Sign.WELL),
        (asyncpg.DeadlockDetectedError("x"), True, Sign.WELL),
        (asyncpg.QueryCanceledError("x"), True, Sign.WELL),
        (asyncpg.UndefinedTableError("x"), True, Sign.WELL),
        (asyncpg.AdminShutdownError("x"), False, Sign.ILL),
        (asyncpg.CannotConnectNowError("x"), False, Sign.ILL),
        (asyncpg.TooManyConnectionsError("x"), False, Sign.ILL),
        (asyncpg.DiskFullError("x"), True, Sign.ILL),
        (asyncpg.ConnectionDoesNotExistError("x"), False, Sign.ILL),
        (ConnectionResetError(), False, Sign.ILL),
        (TimeoutError(), True, Sign.SILENT),
        (asyncpg.InterfaceError("closed"), False, Sign.ILL),
        (asyncpg.InterfaceError("misuse"), True, Sign.NOTHING),
        (ValueError("ours"), True, Sign.NOTHING),
        (DeadlineExceeded("ours"), True, Sign.NOTHING),
        (_wrapped(ConnectionRefusedError()), False, Sign.ILL),
        (_wrapped(TimeoutError()), False, Sign.SILENT),
    ],
)
def test_what_the_end_of_a_statement_tells_of_the_server(
    error: BaseException | None, connected: bool, expected: Sign
) -> None:
    """Rows, deadlocks and our own mistakes tell nothing bad of it."""
    assert tells(error, connected=connected) is expected


class Server:
    """A database server that is there or not."""

    def __init__(self) -> None:
        self.fault: Callable[[], Exception] | None = None
        self.dials = 0

    async def connect(self, _name: str) -> Any:
        self.dials += 1
        if self.fault is not None:
            raise _wrapped(self.fault())
        return Connection(self)


class Connection:
    """Lives as long as its server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._closed = False
        self.born = self.retire_at = 0.0

    async def fetch(self, *_: object, timeout: float) -> list[Any]:
        if self._server.fault is not None:
            self._closed = True
            raise self._server.fault()
        return []

    def is_closed(self) -> bool:
        return self._closed

    def is_in_transaction(self) -> bool:
        return False

    async def close(self, *, timeout: float) -> None:
        self._closed = True

    def terminate(self) -> None:
        self._closed = True


class Bench:
    """A database of four connections behind a gate."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.server = Server()
        self.breaker = Breaker(random.Random(0), POLICY)
        self.gate = Gate(self.breaker, self.clock.monotonic)
        connector: Any = self.server
        self.leased = LeasedPool(connector, name="test", want=4, manager=None, gate=self.gate)
        self.leased.pool.resize(4)
        self.database = Database(self.leased)

    def open(self) -> float:
        """Have the breaker open; return its pause."""
        for _ in range(POLICY.failures_max):
            self.gate.saw(self.gate.ticket, Sign.ILL)
        return self.breaker.retry_after_s(self.clock.monotonic())


@pytest.fixture
async def bench() -> Bench:
    """Return a database that is there."""
    return Bench()


async def test_lost_connections_open_it(bench: Bench) -> None:
    """Reads fail on what they have and on what they try anew; then nothing is tried any more."""
    await bench.database.fetch("SELECT 1")
    bench.server.fault = ConnectionResetError
    for _ in range(20):
        with pytest.raises(Unavailable):
            await bench.database.fetch("SELECT 1")
        if bench.breaker.state is State.OPEN:
            break
        # The pool's own pause after a connection that could not be made.
        bench.leased.pool._backoff.until = 0.0
    assert bench.breaker.state is State.OPEN
    dials = bench.server.dials
    with pytest.raises(Unavailable) as refused:
        await bench.database.fetch("SELECT 1")
    assert refused.value.retry_after_s == pytest.approx(bench.breaker.retry_after_s(0.0))
    assert bench.server.dials == dials


async def test_each_way_in_is_refused(bench: Bench) -> None:
    """Reads, statements, transactions and rows."""
    bench.open()
    with pytest.raises(Unavailable, match="left alone"):
        await bench.database.fetchrow("SELECT 1")
    with pytest.raises(Unavailable, match="left alone"):
        await bench.database.execute("SELECT 1")
    with pytest.raises(Unavailable, match="left alone"):
        async with bench.database.transaction():
            raise AssertionError("it was let in")
    assert bench.server.dials == 0


async def test_after_the_pause_a_read_finds_it_back(bench: Bench) -> None:
    """The first one: the others go on at once."""
    bench.clock.advance(bench.open())
    await bench.database.fetch("SELECT 1")
    assert bench.breaker.state is State.CLOSED
    await bench.database.fetch("SELECT 1")


async def test_what_was_let_in_finds_it_back(bench: Bench) -> None:
    """A row that was in flight is repeated without asking; its success lets all others in, before the pause is over."""
    bench.open()
    async with bench.leased.pool.acquire(1.0, "repeat") as connection:
        await connection.fetch(timeout=1.0)
    assert bench.breaker.state is State.CLOSED


async def test_our_own_line_is_no_fault_of_the_server(bench: Bench) -> None:
    """Who waits in vain for one of our connections says nothing, and as a probe leaves its place to another."""
    bench.clock.advance(bench.open())
    bench.leased.pool.resize(0)
    for _ in range(20):
        with pytest.raises(Unavailable, match="no connection is leased"):
            await bench.database.fetch("SELECT 1")
    assert bench.breaker.state is State.HALF_OPEN


async def test_without_a_gate_nothing_is_asked() -> None:
    """Tools and tests work as ever."""
    server = Server()
    pool = ConnectionPool(lambda: server.connect("test"), size=1)
    async with pool.acquire(1.0, "read") as connection:
        assert await connection.fetch(timeout=1.0) == []
    await pool.close()
