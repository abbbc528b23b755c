"""PostgreSQL stops and starts under traffic."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator

import asyncpg
import pytest

from actors.pool.database import Database
from actors.runtime.errors import ActorError, OutcomeUnknown, Unavailable
from tests.integration.pool.conftest import _SCHEMA, INSERT, Entry
from tests.support.postgres import TestPostgres


@pytest.fixture
def own_server() -> Iterator[TestPostgres]:
    """Run a server that this test may stop."""
    server = TestPostgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def _database(server: TestPostgres) -> Database:
    url = server.url(database="postgres")
    admin = await asyncpg.connect(url)
    await admin.execute(_SCHEMA)
    await admin.close()
    return await Database.open(url, name="test", manager=None, want=4)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "crash"])
async def test_a_restart_under_traffic_loses_nothing(own_server: TestPostgres, how: signal.Signals) -> None:
    """What was acknowledged is there, what was refused as not done is not, and traffic goes on by itself."""
    database = await _database(own_server)
    committer = database.committer(INSERT)
    outcomes: dict[int, object] = {}
    running, again = True, asyncio.Event()
    since_start: list[int] = []
    recovered = asyncio.Event()

    async def client(index: int) -> None:
        number = index * 1_000_000
        while running:
            number += 1
            try:
                outcomes[number] = await committer.submit(Entry(number, 1, f"note {number}"))
            except ActorError as error:
                outcomes[number] = error
                await asyncio.sleep(0.01)
                continue
            if again.is_set():
                since_start.append(number)
                if len(since_start) >= 500:
                    recovered.set()

    async def restart() -> None:
        await asyncio.sleep(0.3)
        await asyncio.to_thread(own_server.stop, how)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_server.start)
        again.set()

    clients = [asyncio.ensure_future(client(index)) for index in range(16)]
    await restart()
    began = time.monotonic()
    async with asyncio.timeout(10):
        await recovered.wait()
    recovered_s = time.monotonic() - began
    running = False
    await asyncio.gather(*clients)

    ids = {row["id"] for row in await database.fetch("SELECT id FROM entries")}
    acknowledged = {number for number, outcome in outcomes.items() if outcome == 1}
    not_done = {number for number, outcome in outcomes.items() if isinstance(outcome, Unavailable)}
    assert acknowledged - ids == set()
    assert not_done & ids == set()
    assert Counter(type(outcome) for outcome in outcomes.values()).keys() <= {int, Unavailable, OutcomeUnknown}
    assert recovered_s < 5
    await database.close()


async def test_a_server_that_stays_away_is_unavailable_in_time(own_server: TestPostgres) -> None:
    """Reads fail at once, writes when their time for repeats is over, and both work again afterwards."""
    database = await _database(own_server)
    committer = database.committer(INSERT)
    await committer.submit(Entry(1, 1, "one"))
    await asyncio.to_thread(own_server.stop)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await database.fetch("SELECT 1")
    assert time.monotonic() - began < 1
    with pytest.raises((Unavailable, OutcomeUnknown)):
        await committer.submit(Entry(2, 1, "two"))
    assert time.monotonic() - began < 5
    await asyncio.to_thread(own_server.start)
    async with asyncio.timeout(5):
        while True:
            try:
                assert await committer.submit(Entry(3, 1, "three")) == 1
                break
            except Unavailable:
                await asyncio.sleep(0.05)
    await database.close()
