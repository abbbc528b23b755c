"""The embedded PostgreSQL with replicas of its own: followed, promoted, made anew."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from actors.pool.faults import DRIVER_ERRORS
from cluster.data_dir import DataDir
from cluster.embedded.account import open_way, servers_account
from cluster.embedded.postgres import EmbeddedPostgres, connect, sockets_folder
from cluster.embedded.postgres_promotion import CannotPromote, promote_embedded
from cluster.embedded.postgres_roles import Role
from cluster.local_gateway import postgres_servers
from cluster.ports import PortBook
from cluster.processes import Processes
from cluster.settings import read_environment
from tests.support.diary import Diary


@dataclass
class Servers:
    """The primary and its replicas while they run."""

    servers: list[EmbeddedPostgres]
    processes: Processes
    diary: Diary

    @property
    def url(self) -> str:
        """The URL that leads to the primary."""
        return self.servers[0].url(Role.OWNER)

    async def all_ready_again(self, times: int) -> None:
        """Wait until all were ready once more than that often."""
        async with asyncio.timeout(120):
            await self.diary.wait_for("all ready", times + 1)

    def times_ready(self) -> int:
        """Return how often all were ready."""
        return self.diary.entries.count("all ready")


@pytest.fixture
def data() -> Iterator[DataDir]:
    """Make a data directory."""
    with tempfile.TemporaryDirectory() as top:
        data = DataDir(Path(top) / "data")
        data.create()
        yield data


@asynccontextmanager
async def running(data: DataDir, replicas: int, *, synchronous: bool = False) -> AsyncIterator[Servers]:
    """Run a primary with so many replicas."""
    account = servers_account()
    if account is not None:
        open_way(data.path, account, lambda _: None)
    settings = read_environment(database_replicas=replicas, database_synchronous=synchronous)
    servers = postgres_servers(data, settings, PortBook(data.ports_file), account)
    diary = Diary()
    processes = Processes(servers, diary)
    task = asyncio.create_task(processes.run())
    try:
        async with asyncio.timeout(120):
            await diary.wait_for("all ready")
        yield Servers(servers, processes, diary)
    finally:
        processes.stop()
        assert await task is None


async def value(url: str, sql: str) -> object:
    """Ask whichever server the URL leads to."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_promotion_loses_nothing_and_the_old_primary_becomes_a_replica(data: DataDir) -> None:
    """Written under load, on a synchronous standby; the next start has the new primary, and what was written."""
    async with running(data, 1, synchronous=True) as servers:
        url = servers.url
        assert await value(url, "SELECT sync_state FROM pg_stat_replication") == "quorum"
        assert await value(url, "SELECT timeline_id FROM pg_control_checkpoint()") == 1
        await value(url, "CREATE TABLE kept (n bigint PRIMARY KEY)")
        acknowledged: dict[int, float] = {}
        done = asyncio.Event()
        writing = asyncio.create_task(_write(url, acknowledged, done))
        while len(acknowledged) < 50:
            await asyncio.sleep(0.02)
        times, asked_at = servers.times_ready(), time.monotonic()
        promotion = await promote_embedded(data)
        assert (promotion.old, promotion.new) == ("postgres", "postgres-2")
        async with asyncio.timeout(30):
            while max(acknowledged.values()) < asked_at + promotion.writable_s:
                await asyncio.sleep(0.02)
        resumed_s = min(at for at in acknowledged.values() if at > asked_at + promotion.stopped_s) - asked_at
        print(f"{promotion}; writes resumed after {resumed_s:.2f} s")
        assert resumed_s < 10
        await servers.all_ready_again(times)
        assert await value(url, "SELECT sync_state FROM pg_stat_replication") == "quorum"
        done.set()
        await writing
    async with running(data, 1) as servers:
        assert servers.servers[0].plan.name == "postgres-2"
        assert await value(servers.url, "SELECT timeline_id FROM pg_control_checkpoint()") == 2
        assert await value(servers.url, f"SELECT count(*) FROM kept WHERE n <= {max(acknowledged)}") == max(
            acknowledged
        )
        # Without the setting nobody is waited for any more.
        assert await value(servers.url, "SHOW synchronous_standby_names") == ""
        with pytest.raises(CannotPromote, match="postgres-2 is the primary"):
            await promote_embedded(data, "postgres-2")


async def _write(url: str, acknowledged: dict[int, float], done: asyncio.Event) -> None:
    """Write numbers from one on, each until it is acknowledged."""
    number, connection = 1, None
    while not done.is_set():
        try:
            connection = connection or await asyncpg.connect(url, timeout=3)
            await connection.execute("INSERT INTO kept VALUES ($1) ON CONFLICT DO NOTHING", number)
        except (OSError, *DRIVER_ERRORS):
            connection = None
            await asyncio.sleep(0.05)
            continue
        acknowledged[number] = time.monotonic()
        number += 1
    if connection is not None:
        await connection.close()


async def test_a_replica_that_lacks_more_than_was_kept_is_made_anew(data: DataDir) -> None:
    """One that was killed goes on with what it has; one for which the log was not kept is copied."""
    async with running(data, 1) as servers:
        replica = data.path / "postgres-2"
        made_at = replica.stat().st_ino
        times = servers.times_ready()
        os.kill(servers.processes.pids()["postgres-2"], signal.SIGKILL)
        await servers.all_ready_again(times)
        assert replica.stat().st_ino == made_at
    async with running(data, 0) as servers:
        await value(servers.url, "CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) AS n")
        admin = await connect(
            data, sockets_folder(data, servers_account()), json.loads(data.ports_file.read_text())["postgres"][0]
        )
        for _ in range(3):
            await admin.execute("SELECT pg_switch_wal()")
            await admin.execute("CHECKPOINT")
        await admin.close()
        assert await value(servers.url, "SELECT count(*) FROM pg_replication_slots") == 0
    async with running(data, 1) as servers:
        assert replica.stat().st_ino != made_at
        url = servers.servers[0].replica_urls(Role.APP)[1]
        assert await value(url, "SELECT pg_is_in_recovery()") is True
        async with asyncio.timeout(20):
            while await value(url, "SELECT to_regclass('kept') IS NULL"):
                await asyncio.sleep(0.05)


async def test_there_is_nothing_to_promote_without_a_replica(data: DataDir) -> None:
    """It is said what to do."""
    async with running(data, 0):
        with pytest.raises(CannotPromote, match="--db-replicas"):
            await promote_embedded(data)
