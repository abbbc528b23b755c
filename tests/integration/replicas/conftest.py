"""A primary and a streaming replica of it, and what reads from them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import asyncpg
import pytest

from actors.pool.database import Database
from actors.pool.replicas.mark import Marks
from actors.pool.replicas.monitor import ServerMonitor, Servers, ServersView
from actors.pool.replicas.reads import ReplicaReads
from actors.pool.replicas.router import RouterPolicy
from actors.pool.replicas.watch import ServerWatch
from actors.pool.servers.timeline import Timelines
from tests.support.postgres import TestPostgres
from tests.support.started import started
from tests.support.streaming_replica import StreamingReplica

POLICY = RouterPolicy(lag_max_s=3.0, fit_min_s=0.3, fit_max_s=2.0, unseen_max_s=3.0)


class LookingMonitor:
    """The monitor in this process: it looks when it is asked."""

    def __init__(self, servers: Servers) -> None:
        self.monitor = ServerMonitor(servers, Timelines(), time.monotonic)

    async def view(self, seen: dict[int, int]) -> ServersView:
        """Look, and return what is known."""
        await self.monitor.look()
        return self.monitor.view(seen)

    async def close(self) -> None:
        """Cut its connections."""
        self.monitor.close()
        # A cut transport is closed in the loop's next turn.
        await asyncio.sleep(0)


@dataclass
class Reader:
    """What a process of the gateway reads with."""

    database: Database
    marks: Marks
    reads: ReplicaReads
    watch: ServerWatch

    async def port(self, *, own_writes: bool = True) -> int:
        """Return the port of the server that answers a read."""
        mark = await self.marks.now() if own_writes else None
        rows = await self.reads.fetch("SELECT inet_server_port() AS port", mark=mark)
        return int(rows[0]["port"])

    async def until_port(self, port: int) -> None:
        """Wait until reads are answered by this server."""
        async with asyncio.timeout(20):
            while await self.port(own_writes=False) != port:
                await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def primary() -> Iterator[TestPostgres]:
    """Run a primary for the tests of this folder."""
    with started(TestPostgres()) as server:
        yield server


@pytest.fixture(scope="session")
def replica(primary: TestPostgres) -> Iterator[StreamingReplica]:
    """Run a replica of it."""
    with started(StreamingReplica(primary)) as server:
        yield server


@pytest.fixture
async def admin(primary: TestPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Connect to the primary."""
    connection = await asyncpg.connect(primary.url(database="postgres"))
    yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def reader_of(primary_url: str, replica_urls: tuple[str, ...]) -> AsyncIterator[Reader]:
    """Open all that a process of the gateway reads with."""
    monitor = LookingMonitor(Servers(primary_url, replica_urls))
    database = await Database.open(primary_url, name="test-reader", manager=None, want=4)
    reads = ReplicaReads(database, replica_urls, name="test", connections=4, policy=POLICY)
    watch = ServerWatch(monitor, on_promotion=database.pool.renew, on_view=reads.take, interval_s=0.05)
    await reads.start()
    watch.start()
    try:
        yield Reader(database, Marks(database), reads, watch)
    finally:
        await watch.close()
        await reads.close()
        await database.close()
        await monitor.close()


OpenReader = Callable[[], "contextlib.AbstractAsyncContextManager[Reader]"]


@pytest.fixture
def open_reader(primary: TestPostgres, replica: StreamingReplica) -> OpenReader:
    """Return a way to read from both."""
    return lambda: reader_of(primary.url(database="postgres"), (replica.url(database="postgres"),))
