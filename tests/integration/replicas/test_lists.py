"""Lists of the gateway from a replica of the database: two processes with one cache, and merchants without tokens."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from uuid import UUID, uuid4

import pytest

from actors.cache.client import CacheClient
from actors.pool.database import Database
from actors.pool.replicas.monitor import Servers
from actors.pool.replicas.process import ProcessServers
from actors.pool.replicas.reads import PRIMARY
from actors.runtime.clock import SystemClock
from actors.runtime.errors import Unavailable
from serve_app.attempts.intent import Owner
from serve_app.config import GatewayConfig
from serve_app.domain.ids import Prefix, public_id
from serve_app.payments.repository import PageRequest
from serve_app.services import Services, open_processors, wire
from tests.integration.replicas.conftest import POLICY, LookingMonitor
from tests.support.gateway_services import PEPPER, WEBHOOK_KEY, new_payment, owner
from tests.support.local_caches import local_caches
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.started import started
from tests.support.streaming_replica import StreamingReplica

_SECONDS = float(os.environ.get("EASYPAY_TEST_SECONDS", "6"))
_MERCHANTS = 3


@pytest.fixture(scope="module")
def books() -> Iterator[tuple[TestPostgres, StreamingReplica]]:
    """Run a primary with the gateway's tables, and a replica."""
    with started(TestPostgres()) as primary:
        asyncio.run(primary.create_schema())
        with started(StreamingReplica(primary)) as replica:
            yield primary, replica


@asynccontextmanager
async def _process(
    primary: TestPostgres, replica: StreamingReplica, cache: CacheClient | None
) -> AsyncIterator[Services]:
    """Open the services of a replica of the gateway, but for Ray."""
    urls = Servers(primary.url(APP_ROLE), (replica.url(APP_ROLE),))
    config = GatewayConfig(urls.primary, PEPPER, "tests", replica_urls=urls.replicas, webhook_key=WEBHOOK_KEY)
    database = await Database.open(urls.primary, name="tests", manager=None, want=6)
    monitor = LookingMonitor(urls)
    servers = await ProcessServers.open(urls, database, monitor, name="tests", connections=4, policy=POLICY)
    clock = SystemClock()
    services = wire(config, database, open_processors(config), clock, cache=cache, poke=lambda: None, servers=servers)
    try:
        yield services
        await services.drain(10)
    finally:
        await services.close()
        await monitor.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("cached", [True, False])
async def test_a_merchant_lists_what_was_paid_through_another_process(
    books: tuple[TestPostgres, StreamingReplica], *, cached: bool
) -> None:
    """At once, while replay is held up for up to two seconds; and the replica answers what it can."""
    primary, replica = books
    rng = random.Random(seed := random.randrange(1 << 32))
    print(f"seed {seed}")
    async with AsyncExitStack() as stack:
        clients: list[CacheClient] | list[None] = [None, None]
        if cached:
            clients = await stack.enter_async_context(local_caches("one", "other"))
        processes = [await stack.enter_async_context(_process(primary, replica, each)) for each in clients]
        owners = [owner(uuid4(), UUID(int=0)) for _ in range(_MERCHANTS)]
        # A shard that has just started confirms nothing before the leases of one before it would have run out.
        async with asyncio.timeout(60):
            while not await _can_pay(processes[0], owners[0]):
                await asyncio.sleep(0.2)
        done = asyncio.Event()
        pausing = asyncio.create_task(replica.hold_up(rng, done))
        until = time.monotonic() + _SECONDS
        counts = await asyncio.gather(*(_pay_and_list(processes, each, until) for each in owners))
        done.set()
        await pausing
        servers = [services.servers for services in processes]
        tallies = [each.reads.tallies() for each in servers if each is not None and each.reads is not None]
    print(f"{sum(counts)} payments listed at once, none missed; {tallies}")
    assert any(series.labels[0] != PRIMARY for each in tallies for series in each)
    assert any(series.labels[0] == PRIMARY for each in tallies for series in each)


async def _can_pay(services: Services, one: Owner) -> bool:
    try:
        await services.payments.create(one, new_payment(), None)
    except Unavailable:
        return False
    return True


async def _pay_and_list(processes: list[Services], one: Owner, until: float) -> int:
    """Pay through one process and list through the other, by turns."""
    count = 0
    for writer, reader in cycle([processes, processes[::-1]]):
        if time.monotonic() > until:
            break
        paid = await writer.payments.create(one, new_payment(), None)
        page = json.loads(await reader.payments.page(one, PageRequest(1)))
        assert page["data"][0]["id"] == public_id(Prefix.PAYMENT, paid.payment_id), "a stale list"
        # Lists of who has not written since do not need the primary.
        for limit in (2, 3, 4):
            assert json.loads(await reader.payments.page(one, PageRequest(limit)))["data"][0] == page["data"][0]
        count += 1
    return count
