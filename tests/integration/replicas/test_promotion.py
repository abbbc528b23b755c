"""The primary is replaced while clients write."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple

import asyncpg
import pytest

from actors.pool.connector import Connector
from actors.pool.database import Database
from actors.pool.servers.dial import dial
from actors.pool.servers.timeline import Timelines
from actors.pool.statement import BatchStatement
from actors.runtime.errors import ActorError, Unavailable
from tests.integration.replicas.conftest import reader_of
from tests.support.postgres import TestPostgres
from tests.support.started import started
from tests.support.streaming_replica import StreamingReplica


class Entry(NamedTuple):
    """A row that a client writes."""

    id: int


INSERT = BatchStatement[Entry, int](
    name="insert_entries",
    sql="""
        WITH input AS (SELECT * FROM unnest($1::bigint[]) WITH ORDINALITY AS item (id, ordinal)),
        stored AS (
            INSERT INTO entries SELECT id FROM input ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING id
        )
        SELECT input.ordinal::int FROM input JOIN stored USING (id)
    """,
    result=lambda row: int(row["ordinal"]),
    key=lambda row: row.id,
)


class Pair(NamedTuple):
    """A primary and its synchronous standby."""

    old: TestPostgres
    new: StreamingReplica

    def url(self) -> str:
        """Return the URL that leads to whichever is the primary."""
        hosts = f"127.0.0.1:{self.old.port},127.0.0.1:{self.new.port}"
        return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Run both."""
    with started(TestPostgres()) as old, started(StreamingReplica(old)) as new:
        yield Pair(old, new)


async def _synchronous(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.old.url(database="postgres"))
    await connection.execute("CREATE TABLE entries (id bigint PRIMARY KEY)")
    await connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'replica'")
    await connection.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(20):
        while await connection.fetchval("SELECT sync_state FROM pg_stat_replication") != "sync":
            await asyncio.sleep(0.05)
    await connection.close()


async def test_writes_go_on_at_the_promoted_replica_and_the_old_primary_is_refused(pair: Pair) -> None:
    """Nothing acknowledged is lost, and a process that knows of the new timeline never writes on the old one again."""
    await _synchronous(pair)
    replicas = (pair.old.url(database="postgres"), pair.new.url(database="postgres"))
    async with reader_of(pair.url(), replicas) as reader:
        committer = reader.database.committer(INSERT)
        acknowledged: dict[int, float] = {}
        done = asyncio.Event()

        async def write(first: int) -> None:
            number = first
            while not done.is_set():
                try:
                    await committer.submit(Entry(number))
                except ActorError:
                    await asyncio.sleep(0.02)
                    continue
                acknowledged[number] = time.monotonic()
                number += 8

        writers = [asyncio.create_task(write(first)) for first in range(8)]
        async with asyncio.timeout(20):
            while len(acknowledged) < 200:
                await asyncio.sleep(0.02)
        killed_at = time.monotonic()
        await asyncio.to_thread(pair.old.stop, signal.SIGQUIT)
        # The old server's settings came with the copy: the new one has no standby to wait for.
        await pair.new.ask("SELECT pg_promote()")
        connection = await asyncpg.connect(pair.new.url(database="postgres"))
        await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await connection.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(20):
            while max(acknowledged.values()) < killed_at + 0.1:
                await asyncio.sleep(0.02)
        resumed_s = min(at for at in acknowledged.values() if at > killed_at + 0.1) - killed_at
        print(f"writes resumed {resumed_s:.2f} s after the primary was killed")
        await reader.until_port(pair.new.port)

        await asyncio.to_thread(pair.old.start)
        known = len(acknowledged)
        async with asyncio.timeout(20):
            while len(acknowledged) < known + 200:
                await asyncio.sleep(0.02)
        reader.database.pool.renew()
        assert (await reader.database.fetch("SELECT inet_server_port() AS port"))[0]["port"] == pair.new.port
        # Neither alone nor where it stands first.
        with pytest.raises(Unavailable, match="Replaced"):
            await Connector(pair.old.url(database="postgres")).connect("test")
        done.set()
        await asyncio.gather(*writers)
        stored = {row["id"] for row in await connection.fetch("SELECT id FROM entries")}
        await connection.close()
        assert acknowledged.keys() <= stored
        assert resumed_s < 10


async def test_connections_to_a_primary_that_was_replaced_are_given_up_when_that_is_heard(pair: Pair) -> None:
    """Even where the old primary runs on and answers: the ledger must not fork."""
    async with reader_of(pair.url(), ()) as reader:
        fetch = reader.database.fetch
        assert (await fetch("SELECT inet_server_port() AS port"))[0]["port"] == pair.old.port
        await pair.new.ask("SELECT pg_promote()")
        async with asyncio.timeout(20):
            while (await fetch("SELECT inet_server_port() AS port"))[0]["port"] != pair.new.port:
                await asyncio.sleep(0.02)


async def test_a_process_that_knows_nothing_yet_finds_the_successor(pair: Pair) -> None:
    """Though the server that it replaced runs as a primary again and stands first."""
    await pair.new.ask("SELECT pg_promote()")
    connection = await dial(pair.url(), timelines=Timelines(), timeout=5)
    assert await connection.fetchval("SELECT inet_server_port()") == pair.new.port
    await connection.close()


async def test_a_standby_alone_is_no_primary(pair: Pair) -> None:
    """Where one is asked for, it is said that there is none; to read it, it is taken."""
    await asyncio.to_thread(pair.old.stop)
    with pytest.raises(Unavailable, match="NoPrimary"):
        await Connector(pair.url()).connect("test")
    database = await Database.open(pair.new.url(database="postgres"), name="test", manager=None, want=1)
    assert (await database.fetch("SELECT pg_is_in_recovery() AS is_standby"))[0]["is_standby"]
    await database.close()
