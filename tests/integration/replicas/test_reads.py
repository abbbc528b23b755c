"""Reads from a real streaming replica."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

import asyncpg
import pytest

from actors.pool.replicas.reads import PRIMARY, READS
from actors.runtime.tallies import Series
from tests.integration.replicas.conftest import OpenReader, Reader
from tests.support.postgres import TestPostgres
from tests.support.streaming_replica import StreamingReplica

_SECONDS = float(os.environ.get("EASYPAY_TEST_SECONDS", "6"))
_MERCHANTS = 8


@pytest.fixture
async def table(admin: asyncpg.Connection) -> None:
    """Make what merchants write."""
    await admin.execute("DROP TABLE IF EXISTS written; CREATE TABLE written (merchant int PRIMARY KEY, count int)")
    await admin.executemany("INSERT INTO written VALUES ($1, 0)", [(merchant,) for merchant in range(_MERCHANTS)])


async def test_reads_are_split(primary: TestPostgres, replica: StreamingReplica, open_reader: OpenReader) -> None:
    """Before the replica was seen the primary answers, then the replica; both servers count them."""
    async with open_reader() as reader:
        assert await reader.port(own_writes=False) == primary.port
        await reader.until_port(replica.port)
        ports = [await reader.port() for _ in range(200)]
        assert ports.count(replica.port) >= 190
        counted = reader.reads.tallies()
        name = f"127.0.0.1:{replica.port}"
        assert counted[Series(READS, (name, "chosen"))] >= 190
        assert sum(count for series, count in counted.items() if series.labels[0] == PRIMARY) >= 1
        assert [figure.excluded for figure in reader.reads.figures()] == [None]


@pytest.mark.usefixtures("table")
async def test_nobody_reads_less_than_he_wrote(replica: StreamingReplica, open_reader: OpenReader) -> None:
    """Two processes write and read the merchants' rows; replay pauses for up to two seconds. No token travels."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with open_reader() as one, open_reader() as other:
        await one.until_port(replica.port)
        await other.until_port(replica.port)
        done = asyncio.Event()
        pausing = asyncio.create_task(replica.hold_up(rng, done))
        readings = await asyncio.gather(
            *(_write_and_read(merchant, (one, other), time.monotonic() + _SECONDS) for merchant in range(_MERCHANTS))
        )
        done.set()
        await pausing
        tallies = [reader.reads.tallies() for reader in (one, other)]
    print(sum(readings), "reads of own writes, none stale;", tallies)
    by_replica = sum(count for each in tallies for series, count in each.items() if series.labels[0] != PRIMARY)
    by_primary = sum(count for each in tallies for series, count in each.items() if series.labels[0] == PRIMARY)
    assert by_replica > 0
    assert by_primary > 0


async def _write_and_read(merchant: int, readers: tuple[Reader, Reader], until: float) -> int:
    """Write through one and read through the other, by turns."""
    count = 0
    while time.monotonic() < until:
        writer, reader = readers if count % 2 else readers[::-1]
        count += 1
        await writer.database.execute("UPDATE written SET count = $2 WHERE merchant = $1", merchant, count)
        mark = await reader.marks.now()
        rows = await reader.reads.fetch("SELECT count FROM written WHERE merchant = $1", merchant, mark=mark)
        assert rows[0]["count"] == count, "a stale read of an own write"
    return count


@pytest.mark.usefixtures("table")
async def test_a_mark_of_before_lets_a_paused_replica_answer(
    primary: TestPostgres, replica: StreamingReplica, open_reader: OpenReader
) -> None:
    """Who has not written since does not need the primary; who has is sent there."""
    async with open_reader() as reader:
        await reader.until_port(replica.port)
        before = await reader.marks.now()
        await asyncio.sleep(0.3)  # What was written before is replayed and seen.
        await replica.ask("SELECT pg_wal_replay_pause()")
        try:
            await reader.database.execute("UPDATE written SET count = -1 WHERE merchant = 0")
            after = await reader.marks.now()
            sql = "SELECT inet_server_port() AS port, count FROM written WHERE merchant = 0"
            (old,) = await reader.reads.fetch(sql, mark=before)
            (new,) = await reader.reads.fetch(sql, mark=after)
            assert (old["port"], old["count"]) == (replica.port, 0)
            assert (new["port"], new["count"]) == (primary.port, -1)
        finally:
            await replica.ask("SELECT pg_wal_replay_resume()")


async def test_one_that_lags_is_left_out_and_comes_back(
    primary: TestPostgres, replica: StreamingReplica, admin: asyncpg.Connection, open_reader: OpenReader
) -> None:
    """By the bound of lag, for reads without a mark too."""
    async with open_reader() as reader:
        await reader.until_port(replica.port)
        await replica.ask("SELECT pg_wal_replay_pause()")
        try:
            await admin.execute("CREATE TABLE IF NOT EXISTS lagging (id int)")
            await reader.until_port(primary.port)
            assert [figure.excluded for figure in reader.reads.figures()] == ["lagging"]
        finally:
            await replica.ask("SELECT pg_wal_replay_resume()")
        await reader.until_port(replica.port)


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
async def test_a_replica_that_dies_is_nobodys_error(
    replica: StreamingReplica, open_reader: OpenReader, how: signal.Signals
) -> None:
    """Readers go on at the primary meanwhile, and at the replica soon after it is back."""
    async with open_reader() as reader:
        await reader.until_port(replica.port)
        done = asyncio.Event()

        async def read() -> int:
            count = 0
            while not done.is_set():
                await reader.port(own_writes=count % 2 == 0)
                count += 1
            return count

        readers = [asyncio.create_task(read()) for _ in range(4)]
        await asyncio.to_thread(replica.stop, how)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(replica.start)
        await reader.until_port(replica.port)
        done.set()
        assert all(count > 0 for count in await asyncio.gather(*readers))
