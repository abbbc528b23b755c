"""The pool, on connections that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from actors.pool import backoff as module
from actors.pool.connections import ConnectionPool
from actors.pool.line import Priority
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, RowRejected, Unavailable
from tests.unit.actors.pool.fakes import FakeServer, turns


@pytest.fixture
async def server() -> FakeServer:
    """Make a server that is up."""
    return FakeServer()


@pytest.fixture
async def pool(server: FakeServer) -> AsyncIterator[ConnectionPool]:
    """Make a pool of two."""
    pool = ConnectionPool(server.connect, size=2, waiters_max=3)
    yield pool
    await pool.close(grace_s=0)


async def take(pool: ConnectionPool, timeout_s: float = 5.0) -> Any:
    return await pool.take(timeout_s)


async def test_connections_are_made_when_they_are_needed(pool: ConnectionPool, server: FakeServer) -> None:
    """None before, and no more than are used at once."""
    assert (pool.open, pool.size) == (0, 2)
    for _ in range(3):
        async with pool.acquire(5.0):
            pass
    assert (len(server.connections), pool.open, pool.idle) == (1, 1, 1)


async def test_the_last_one_used_is_used_next(pool: ConnectionPool) -> None:
    """So the others can age."""
    first, second = await take(pool), await take(pool)
    pool.give_back(first)
    pool.give_back(second)
    assert await take(pool) is second


async def test_a_free_connection_costs_no_turn_of_the_loop(pool: ConnectionPool) -> None:
    """The fast path neither waits nor makes a task or a timer."""
    pool.give_back(await take(pool))
    with pytest.raises(StopIteration):
        pool.take(5.0).send(None)


async def test_no_more_than_its_size_are_ever_open(pool: ConnectionPool, server: FakeServer) -> None:
    """The third caller gets the first connection that is given back, in the order of waiting."""
    first, second = await take(pool), await take(pool)
    third = asyncio.ensure_future(pool.take(5.0))
    fourth = asyncio.ensure_future(pool.take(5.0))
    await turns()
    assert (pool.waiting, pool.open) == (2, 2)
    pool.give_back(second)
    pool.give_back(first)
    assert [await third, await fourth] == [second, first]
    assert len(server.connections) == 2


async def test_waiting_is_bounded_in_number(pool: ConnectionPool) -> None:
    """One more than may wait is refused at once."""
    await take(pool), await take(pool)
    waiting = [asyncio.ensure_future(pool.take(5.0)) for _ in range(3)]
    await turns()
    with pytest.raises(Overloaded, match="database connections"):
        await take(pool)
    for task in waiting:
        task.cancel()


async def test_waiting_is_bounded_in_time(pool: ConnectionPool) -> None:
    """Who waited too long leaves the line."""
    await take(pool), await take(pool)
    with pytest.raises(DeadlineExceeded, match="wait for a database connection"):
        await take(pool, 0.001)
    assert pool.waiting == 0


async def test_a_waiter_that_is_cancelled_gives_back_what_it_was_just_given(pool: ConnectionPool) -> None:
    """A connection handed over in the same moment is not lost."""
    first, _ = await take(pool), await take(pool)
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    pool.give_back(first)
    waiter.cancel()
    await turns()
    assert (pool.idle, pool.waiting, await take(pool)) == (1, 0, first)


async def test_a_caller_that_gives_up_during_connecting_leaves_the_connection(
    pool: ConnectionPool, server: FakeServer
) -> None:
    """It is kept for the next one."""
    server.may_connect.clear()
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    waiter.cancel()
    server.may_connect.set()
    await turns()
    assert (pool.idle, pool.open) == (1, 1)


async def test_a_connection_that_died_idle_is_replaced(pool: ConnectionPool, server: FakeServer) -> None:
    """The caller never sees it."""
    pool.give_back(await take(pool))
    server.restart()
    assert await take(pool) is server.connections[1]
    assert pool.open == 1


async def test_a_connection_that_died_in_use_makes_room(pool: ConnectionPool, server: FakeServer) -> None:
    """Whoever waits gets a new one."""
    first, _ = await take(pool), await take(pool)
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    first.closed = True
    pool.give_back(first)
    assert await waiter is server.connections[2]


@pytest.mark.parametrize("error", [asyncio.CancelledError(), TimeoutError(), asyncpg.InternalClientError("x")])
async def test_a_connection_that_was_cut_short_is_closed(
    pool: ConnectionPool, server: FakeServer, error: BaseException
) -> None:
    """Its answer may still come; nobody else may get it."""
    with pytest.raises(type(error)):
        async with pool.acquire(5.0):
            raise error
    await turns()
    assert (server.living, pool.open) == ([], 0)


async def test_a_connection_left_in_a_transaction_is_closed(pool: ConnectionPool, server: FakeServer) -> None:
    """The server rolls back; nothing is ever committed by giving a connection back."""
    async with pool.acquire(5.0) as connection:
        connection.in_transaction = True
    await turns()
    assert server.living == []
    assert server.connections[0].statements == []


async def test_a_connection_that_closes_counts_until_it_has(pool: ConnectionPool, server: FakeServer) -> None:
    """So the server never sees more than the size, and a waiter gets its turn after."""
    first, _ = await take(pool), await take(pool)
    first.may_close.clear()
    first.in_transaction = True
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    pool.give_back(first)
    await turns()
    assert (pool.open, len(server.connections), waiter.done()) == (2, 2, False)
    first.may_close.set()
    assert await waiter is server.connections[2]


async def test_an_error_of_the_body_leaves_a_good_connection_alone(pool: ConnectionPool) -> None:
    """What is not about the connection does not cost it."""
    with pytest.raises(ValueError, match="mine"):
        async with pool.acquire(5.0):
            raise ValueError("mine")
    assert pool.idle == 1


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (asyncpg.UniqueViolationError("x"), RowRejected),
        (asyncpg.ConnectionDoesNotExistError("x"), OutcomeUnknown),
        (asyncpg.DeadlockDetectedError("x"), Unavailable),
        (asyncpg.UndefinedTableError("x"), asyncpg.UndefinedTableError),
    ],
)
async def test_with_an_operation_errors_leave_as_ours(
    pool: ConnectionPool, error: Exception, ours: type[Exception]
) -> None:
    """And keep the original as their cause."""
    with pytest.raises(ours) as raised:
        async with pool.acquire(5.0, "op"):
            raise error
    assert raised.value is error or raised.value.__cause__ is error


async def test_growing_serves_those_who_wait(pool: ConnectionPool) -> None:
    """A larger lease is used at once."""
    await take(pool), await take(pool)
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    pool.resize(3)
    await waiter
    assert pool.open == 3


async def test_shrinking_closes_idle_ones_now_and_used_ones_later(pool: ConnectionPool, server: FakeServer) -> None:
    """A smaller lease interrupts nobody."""
    first, second = await take(pool), await take(pool)
    pool.give_back(second)
    pool.resize(0)
    await turns()
    assert server.living == [first]
    pool.give_back(first)
    await turns()
    assert (server.living, pool.open) == ([], 0)


async def test_without_a_lease_callers_are_refused_clearly(pool: ConnectionPool) -> None:
    """Nobody waits for connections that nobody promised."""
    pool.resize(0)
    with pytest.raises(Unavailable, match="no connection is leased"):
        await take(pool)


async def test_renewing_replaces_every_connection(pool: ConnectionPool, server: FakeServer) -> None:
    """Also those in use, and one that was on its way when it was asked for."""
    used, idle = await take(pool), await take(pool)
    pool.give_back(idle)
    await asyncio.sleep(0.001)
    pool.renew()
    await turns()
    assert server.living == [used]
    pool.give_back(used)
    await turns()
    assert server.living == []
    server.may_connect.clear()
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    await asyncio.sleep(0.001)
    pool.renew()
    server.may_connect.set()
    taken = await waiter
    assert taken is server.connections[3]
    assert taken is not server.connections[2]


async def test_an_old_connection_is_replaced(server: FakeServer) -> None:
    """What a server process has gathered is given back to the system now and then."""
    pool = ConnectionPool(server.connect, size=2, age_max_s=60.0)
    used, idle = await take(pool), await take(pool)
    pool.give_back(idle)
    used.retire_at = idle.retire_at = 0.0
    pool.give_back(used)
    await turns()
    assert (used.closed, idle.closed) == (True, False)
    pool.tend()
    await turns()
    assert idle.closed, "the lease's renewal looks after the idle ones"
    assert pool.figures().closes == {"aged": 2}
    await pool.close()


async def test_a_server_that_is_down_is_told_at_once(pool: ConnectionPool, server: FakeServer) -> None:
    """Everybody who waits learns that nothing can be done, and why."""
    server.down = True
    outcomes = await asyncio.gather(take(pool), take(pool), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    assert "refused" in str(outcomes[0])


async def test_after_a_failure_callers_do_not_storm_the_server(pool: ConnectionPool, server: FakeServer) -> None:
    """Until the pause is over they are refused without another try."""
    server.down = True
    with pytest.raises(Unavailable):
        await take(pool)
    tries = server.tries
    for _ in range(10):
        with pytest.raises(Unavailable):
            await take(pool)
    assert server.tries == tries


async def test_the_pool_recovers_by_itself(
    pool: ConnectionPool, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the server is back the next caller is served."""
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.001)
    monkeypatch.setattr(module, "BACKOFF_MAX_S", 0.001)
    server.down = True
    with pytest.raises(Unavailable):
        await take(pool)
    server.down = False
    await asyncio.sleep(0.002)
    assert await take(pool) is server.connections[0]


async def test_one_that_waits_for_a_used_connection_survives_a_failed_try(
    pool: ConnectionPool, server: FakeServer
) -> None:
    """While another is open there is something to wait for."""
    first = await take(pool)
    server.down = True
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    assert not waiter.done()
    pool.give_back(first)
    assert await waiter is first


async def test_a_waiter_is_served_when_the_pause_is_over(
    pool: ConnectionPool, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool tries again by itself for those who wait."""
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.001)
    first = await take(pool)
    server.down = True
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    server.down = False
    assert await waiter is not first


async def test_those_who_wait_learn_when_the_last_connection_is_gone(
    pool: ConnectionPool, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hangs until its deadline on a server that is away."""
    monkeypatch.setattr(module, "BACKOFF_MIN_S", 0.001)
    first = await take(pool)
    server.down = True
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    first.closed = True
    pool.give_back(first)
    with pytest.raises(Unavailable, match="refused"):
        await waiter


async def test_warming_makes_connections_ahead(pool: ConnectionPool, server: FakeServer) -> None:
    """Up to the size, and without complaint where the server is away."""
    assert await pool.warm(5) == 2
    assert pool.idle == 2
    server.restart()
    pool.resize(3)
    server.down = True
    assert await pool.warm(3) == 0


async def test_a_closed_pool_refuses(pool: ConnectionPool) -> None:
    """Those in line are told too."""
    await take(pool), await take(pool)
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    await pool.close(grace_s=0)
    with pytest.raises(Unavailable, match="the pool is closed"):
        await waiter
    with pytest.raises(Unavailable, match="the pool is closed"):
        await take(pool)


async def test_closing_waits_for_what_is_in_use(pool: ConnectionPool, server: FakeServer) -> None:
    """A statement in flight may finish; after the grace it is cut."""
    connection = await take(pool)
    closing = asyncio.ensure_future(pool.close(grace_s=5))
    await turns()
    assert not closing.done()
    pool.give_back(connection)
    await closing
    assert (server.living, connection.terminated) == ([], False)


async def test_closing_cuts_what_does_not_end(pool: ConnectionPool) -> None:
    """No shutdown hangs on a connection."""
    connection = await take(pool)
    await pool.close(grace_s=0.001)
    assert connection.terminated
    pool.give_back(connection)
    assert pool.open == 0


async def test_urgent_callers_come_first(pool: ConnectionPool) -> None:
    """Before those that have waited longer."""
    first, _ = await take(pool), await take(pool)
    normal = asyncio.ensure_future(pool.take(5.0))
    urgent = asyncio.ensure_future(pool.take(5.0, Priority.URGENT))
    await turns()
    pool.give_back(first)
    assert await urgent is first
    assert not normal.done()
    normal.cancel()


async def test_a_wait_that_cannot_be_met_is_refused_at_once(pool: ConnectionPool) -> None:
    """By how long uses take of late; one with more time waits."""
    for _ in range(200):
        connection = await take(pool)
        connection.lent_at -= 1.0
        pool.give_back(connection)
    first, _ = await take(pool), await take(pool)
    waiter = asyncio.ensure_future(pool.take(5.0))
    await turns()
    with pytest.raises(Overloaded) as refused:
        await take(pool, 0.4)
    assert refused.value.retry_after_s == 1.0, "half a second, in HTTP's whole ones"
    assert pool.figures().refused == {"hopeless": 1}
    pool.give_back(first)
    assert await waiter is first


async def test_before_the_end_of_a_window_who_has_time_waits(pool: ConnectionPool) -> None:
    """Others are refused with the time that is left, also those in line."""
    now = asyncio.get_running_loop().time()
    pool.resize(0)
    pool.resize(0, now + 10)
    patient = asyncio.ensure_future(pool.take(20.0))
    await turns()
    with pytest.raises(Unavailable, match="worked on") as refused:
        await take(pool, 5.0)
    assert refused.value.retry_after_s == pytest.approx(10, abs=0.5)
    pool.resize(0, now + 30)
    with pytest.raises(Unavailable, match="worked on"):
        await patient
    other = asyncio.ensure_future(pool.take(60.0))
    await turns()
    pool.resize(1)
    assert not (await other).is_closed()


async def test_an_idle_connection_that_does_not_answer_is_replaced(pool: ConnectionPool, server: FakeServer) -> None:
    """Those that answer are kept, and nobody is lent one that is being asked."""
    good, bad = await take(pool), await take(pool)
    pool.give_back(good)
    pool.give_back(bad)
    good.used_at = bad.used_at = asyncio.get_running_loop().time() - 60
    bad.answer = lambda _sql, _args: TimeoutError()
    pool.tend()
    assert pool.in_use == 0
    third = asyncio.ensure_future(pool.take(5.0))
    await turns()
    assert await third is good
    assert bad.terminated
    assert pool.figures().closes == {"broken": 1}
    pool.tend()
    await turns()
    assert len(server.connections) == 2


async def test_one_used_a_moment_ago_is_not_probed(pool: ConnectionPool, server: FakeServer) -> None:
    """Its use has shown that it lives."""
    pool.give_back(await take(pool))
    pool.tend()
    await turns()
    assert server.connections[0].statements == []


async def test_connections_are_opened_and_prepared_ahead(pool: ConnectionPool, server: FakeServer) -> None:
    """A new one knows what another has prepared, before anybody gets it."""
    first = await take(pool)
    first.known = ["SELECT 1", "SELECT 2"]
    pool.tend(keep=2)
    await turns()
    assert (pool.open, pool.idle) == (2, 1)
    assert server.connections[1].known == ["SELECT 2", "SELECT 1"], "the last used first"


async def test_a_caller_that_waits_is_not_kept_for_preparing(pool: ConnectionPool, server: FakeServer) -> None:
    """It prepares what it needs itself."""
    first = await take(pool)
    first.known = ["SELECT 1"]
    second = await take(pool)
    assert server.connections[1] is second
    assert second.known == []


async def test_a_statement_that_cannot_be_prepared_costs_nothing(pool: ConnectionPool, server: FakeServer) -> None:
    """A connection that is lost meanwhile is ended."""
    first = await take(pool)
    first.known = ["SELECT old", "SELECT new"]
    server.answer = lambda sql, _args: asyncpg.UndefinedTableError("old") if sql.endswith("old") else []
    pool.tend(keep=2)
    await turns()
    assert server.connections[1].known == ["SELECT new"]
    await asyncio.sleep(0.001)
    pool.renew()
    pool.resize(3)
    await turns()
    server.answer = lambda _sql, _args: ConnectionResetError("gone")
    pool.tend(keep=2)
    await turns()
    assert server.connections[2].terminated
    assert pool.open == 1


async def test_the_lease_is_told_of_a_line(server: FakeServer) -> None:
    """When somebody waits although all is open, and when what was too much is closed."""
    told: list[int] = []
    small = ConnectionPool(server.connect, size=1, pressed=lambda: told.append(small.open))
    first = await take(small)
    assert told == []
    waiter = asyncio.ensure_future(small.take(5.0))
    await turns()
    assert told == [1]
    waiter.cancel()
    await turns()
    small.resize(0)
    small.give_back(first)
    await turns()
    assert told == [1, 0]
    await small.close()


async def test_figures_count_what_happened(pool: ConnectionPool) -> None:
    """Uses by operation, waits, connects, and what there is now."""
    async with pool.acquire(5.0, "select"):
        pass
    first, second = await take(pool), await take(pool)
    waiter = asyncio.ensure_future(pool.take(5.0))
    with pytest.raises(DeadlineExceeded):
        await take(pool, 0.001)
    pool.give_back(first)
    pool.give_back(await waiter)
    figures = pool.figures()
    assert (figures.size, figures.in_use, figures.idle, figures.waiting) == (2, 1, 1, 0)
    assert (figures.uses, figures.connects, figures.utilisation) == (3, 2, 0.5)
    assert {name: histogram.count for name, histogram in figures.statements.items()} == {"select": 1, "transaction": 2}
    assert figures.wait.count == 3, "two for their connection to be made, one for it to be given back"
    assert figures.refused == {"late": 1}
    pool.give_back(second)


async def test_the_load_is_that_since_the_last_look(pool: ConnectionPool) -> None:
    """Arrivals, the mean use, and the waits of all; those who wait now too."""
    pool.load()
    for _ in range(9):
        connection = await take(pool)
        connection.lent_at -= 0.01
        pool.give_back(connection)
    await take(pool), await take(pool)
    waiter = asyncio.ensure_future(pool.take(5.0))
    await asyncio.sleep(0.02)
    load = pool.load()
    assert load.service_s == pytest.approx(0.01, rel=0.3)
    assert (load.busy, load.waiting) == (2, 1)
    assert load.wait_p99_s >= 0.02
    assert pool.load().arrival_rate == 0
    waiter.cancel()


async def test_the_longest_use_is_that_of_what_is_lent_now(pool: ConnectionPool) -> None:
    """What hangs is seen before it ends; an idle connection is in nobody's use however old its last one is."""
    assert pool.longest_use_s == 0
    first = await take(pool)
    await asyncio.sleep(0.02)
    second = await take(pool)
    assert pool.longest_use_s >= 0.02
    pool.give_back(first)
    assert pool.longest_use_s < asyncio.get_running_loop().time() - first.lent_at
    pool.give_back(second)
    await asyncio.sleep(0.02)
    assert pool.longest_use_s == 0
