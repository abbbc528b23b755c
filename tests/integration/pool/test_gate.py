"""A real server that goes away and comes back, behind the gate."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import asyncpg
import pytest

from actors.pool.database import Database
from actors.pool.gate import POLICY, Gate
from actors.runtime.breaker import Breaker, State
from actors.runtime.errors import ActorError, RowRejected, Unavailable
from tests.integration.pool.conftest import _SCHEMA, INSERT, Entry
from tests.support.postgres import TestPostgres

# The pool tries anew once a second at most, and so does the breaker.
_BACK_WITHIN_S = 2.5


@pytest.fixture
def own_server() -> Iterator[TestPostgres]:
    """Run a server that this test may stop."""
    server = TestPostgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def _database(server: TestPostgres, breaker: Breaker) -> Database:
    url = server.url(database="postgres")
    admin = await asyncpg.connect(url)
    await admin.execute(_SCHEMA)
    await admin.close()
    return await Database.open(url, name="test", manager=None, want=4, gate=Gate(breaker))


async def _until(breaker: Breaker, database: Database, state: State, within_s: float) -> float:
    """Read until the breaker is in that state; return how long it took."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while breaker.state is not state:
            try:
                await database.fetch("SELECT 1", timeout_s=1.0)
            except ActorError:
                await asyncio.sleep(0.01)
    return time.monotonic() - began


async def test_a_server_that_is_away_is_left_alone_and_found_again(own_server: TestPostgres) -> None:
    """Rows are refused within milliseconds, not after the seconds of their repeats; soon after it is back they are
    stored."""
    breaker = Breaker(random.Random(0), POLICY)
    database = await _database(own_server, breaker)
    committer = database.committer(INSERT)
    assert await committer.submit(Entry(1, 1, "before")) == 1
    await asyncio.to_thread(own_server.stop)
    opened_s = await _until(breaker, database, State.OPEN, 5.0)
    refused = 0
    slowest_s = 0.0
    for number in range(100):
        began = time.monotonic()
        if breaker.retry_after_s(began) > 0.005:
            with pytest.raises(Unavailable, match="left alone"):
                await committer.submit(Entry(2 + number, 1, f"away {number}"))
            slowest_s = max(slowest_s, time.monotonic() - began)
            refused += 1
        else:
            await _until(breaker, database, State.OPEN, 5.0)
    await asyncio.to_thread(own_server.start)
    back_s = await _until(breaker, database, State.CLOSED, _BACK_WITHIN_S)
    assert await committer.submit(Entry(1000, 1, "after")) == 1
    rows = await database.fetch("SELECT id FROM entries ORDER BY id")
    await database.close()
    print(
        f"opened after {opened_s:.2f} s, {refused} rows refused in {slowest_s * 1000:.1f} ms at most,"
        f" back {back_s:.2f} s after the start"
    )
    assert refused > 50
    assert slowest_s < 0.1
    assert [row["id"] for row in rows] == [1, 1000]


async def test_rows_in_flight_live_through_a_restart(own_server: TestPostgres) -> None:
    """They were let in before the server went away: none of them fails, though the breaker opens meanwhile."""
    breaker = Breaker(random.Random(0), POLICY)
    database = await _database(own_server, breaker)
    committer = database.committer(INSERT, in_flight_max=4)
    await asyncio.to_thread(own_server.stop)
    rows = [
        asyncio.ensure_future(committer.submit(Entry(number, 1, f"note {number}"), timeout_s=10.0)) for number in (1, 2)
    ]
    await asyncio.sleep(0)
    for _ in range(POLICY.failures_max):
        breaker.failed(breaker.ticket, time.monotonic())
    meanwhile = breaker.state
    assert meanwhile is State.OPEN
    await asyncio.to_thread(own_server.start)
    assert await asyncio.gather(*rows) == [1, 1]
    assert breaker.state is State.CLOSED
    await database.close()


async def test_bad_rows_never_open_it(own_server: TestPostgres) -> None:
    """However many a merchant sends."""
    breaker = Breaker(random.Random(0), POLICY)
    database = await _database(own_server, breaker)
    committer = database.committer(INSERT)
    for number in range(30):
        with pytest.raises(RowRejected):
            await committer.submit(Entry(number, -1, f"bad {number}"))
    assert breaker.state is State.CLOSED
    assert breaker.window(time.monotonic())[1] == 0
    await database.close()
