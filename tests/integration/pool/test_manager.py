"""The pool manager on a real server, in this process: the actor's class without Ray is its own twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from actors.pool.actor import PoolManagerActor
from actors.pool.budget import Grant, Wait
from actors.pool.connector import Connector
from actors.pool.database import Database
from actors.pool.lease import LeasedPool
from actors.runtime.errors import ActorError
from tests.integration.pool.conftest import INSERT, Entry, backends, until

TTL_S = 0.5


class Gate:
    """Lets a holder's calls through to the manager, or not."""

    def __init__(self, manager: PoolManagerActor) -> None:
        self.manager = manager
        self.open = True

    def _pass(self) -> PoolManagerActor:
        if not self.open:
            raise ActorError("away")
        return self.manager

    async def request(self, holder: str, want: int) -> Grant | Wait:
        return await self._pass().request(holder, want)

    async def renew(self, lease_id: str, holder: str, size: int, want: int) -> int:
        return await self._pass().renew(lease_id, holder, size, want)

    async def release(self, lease_id: str) -> None:
        await self._pass().release(lease_id)


@pytest.fixture
async def manager(url: str, admin: asyncpg.Connection) -> PoolManagerActor:  # noqa: ARG001  # no lease is out yet
    """Make a manager of six connections with a short term."""
    return PoolManagerActor("v1", lambda: url, 6, name="gate", ttl_s=TTL_S)


@pytest.fixture
async def leases() -> AsyncIterator[list[LeasedPool]]:
    """Stop what a test started."""
    leases: list[LeasedPool] = []
    yield leases
    for lease in leases:
        await lease.stop()


async def start(leases: list[LeasedPool], url: str, gate: Gate, want: int) -> LeasedPool:
    lease = LeasedPool(Connector(url), name="holder", want=want, manager=gate, renew_interval_s=0.05)
    leases.append(lease)
    await lease.start()
    return lease


async def test_the_first_manager_grants_at_once(url: str, manager: PoolManagerActor, leases: list[LeasedPool]) -> None:
    """The server shows no connection of a lease, so there is nobody to wait for."""
    async with asyncio.timeout(TTL_S):
        lease = await start(leases, url, Gate(manager), 4)
    assert lease.pool.size == 4
    assert (await manager.snapshot()).free == 2


async def test_connections_bear_the_lease_s_name(
    url: str, manager: PoolManagerActor, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """The server knows whose they are."""
    lease = await start(leases, url, Gate(manager), 4)
    async with lease.pool.acquire(5):
        (name,) = [each[0] for each in (await manager.snapshot()).leases]
        assert len(await backends(admin, name)) == 1
        assert name.startswith("gate/")


async def test_a_third_process_gets_its_part_from_the_others(
    url: str, manager: PoolManagerActor, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """Two that hold all shrink, and the server never sees more than the budget."""
    gate = Gate(manager)
    first, second = await start(leases, url, gate, 3), await start(leases, url, gate, 3)
    await first.pool.warm(3), await second.pool.warm(3)
    assert len(await backends(admin, "gate/")) == 6
    third = await start(leases, url, gate, 3)
    assert [lease.pool.size for lease in leases] == [2, 2, 2]
    await third.pool.warm(2)
    assert len(await backends(admin, "gate/")) <= 6


async def test_a_holder_that_stands_still_loses_its_connections(
    url: str, manager: PoolManagerActor, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """Its term over, they are ended at the server before others get them; back again, it leases anew."""
    gate = Gate(manager)
    still = await start(leases, url, gate, 6)
    await still.pool.warm(6)
    gate.open = False
    other = await start(leases, url, Gate(manager), 3)
    assert other.pool.size == 3
    assert len(await backends(admin, "gate/")) == 0, "all six were ended"
    gate.open = True
    async with asyncio.timeout(5):
        while True:
            try:
                async with still.pool.acquire(5) as connection:
                    assert await connection.fetchval("SELECT 1") == 1
                break
            except ActorError:
                await asyncio.sleep(0.01)
    assert len(await backends(admin, "gate/")) <= 6


async def test_a_manager_s_successor_adopts_the_leases(
    url: str, manager: PoolManagerActor, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """Statements run on, no connection is lost, and nothing new is granted before one term is over."""
    gate = Gate(manager)
    lease = await start(leases, url, gate, 4)
    await lease.pool.warm(4)
    before = await backends(admin, "gate/")
    gate.manager = successor = PoolManagerActor("v1", lambda: url, 6, name="gate", ttl_s=TTL_S)
    assert isinstance(await successor.request("newcomer", 2), Wait)
    await start(leases, url, Gate(successor), 2)
    assert [each.pool.size for each in leases] == [4, 2]
    assert await backends(admin, "gate/") == before
    assert not (await successor.snapshot()).recovering


async def test_strangers_are_ended_before_anything_is_granted(
    url: str, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """Connections of a holder that does not renew go when the recovery ends."""
    strangers = [await Connector(url).connect("gate/old/1/x") for _ in range(3)]
    neighbours = await Connector(url).connect("gates/other/1/y")
    manager = PoolManagerActor("v1", lambda: url, 6, name="gate", ttl_s=TTL_S)
    lease = await start(leases, url, Gate(manager), 6)
    assert lease.pool.size == 6
    assert await backends(admin, "gate/old") == []
    assert len(await backends(admin, "gates/")) == 1, "another gateway's are left alone"
    for connection in [*strangers, neighbours]:
        connection.terminate()


async def test_what_cannot_be_ended_is_not_granted(url: str, admin: asyncpg.Connection) -> None:  # noqa: ARG001
    """While the server cannot be reached, an expired lease counts."""
    urls = [url]
    manager = PoolManagerActor("v1", lambda: urls[0], 6, name="gate", ttl_s=0.05)
    assert isinstance(await manager.request("dead", 6), Grant)
    urls[0] = "postgresql://x@127.0.0.1:1/x"
    await asyncio.sleep(0.06)
    for _ in range(20):
        assert isinstance(await manager.request("next", 1), Wait)
        await asyncio.sleep(0.001)
    urls[0] = url
    async with asyncio.timeout(5):
        while not isinstance(await manager.request("next", 1), Grant):
            await asyncio.sleep(0.01)


async def test_stopping_gives_the_lease_back(url: str, manager: PoolManagerActor) -> None:
    """Another process can have it at once."""
    gate = Gate(manager)
    for _ in range(3):
        database = await Database.open(url, name="short", manager=gate, want=6)
        await database.fetch("SELECT 1")
        assert database.pool.size == 6
        await database.close()
    assert (await manager.snapshot()).free == 6


async def test_a_group_commit_survives_the_loss_of_its_lease(
    url: str, manager: PoolManagerActor, admin: asyncpg.Connection
) -> None:
    """Rows in flight when the connections are ended are repeated under the next lease."""
    gate = Gate(manager)
    database = await Database.open(url, name="payer", manager=gate, want=4)
    committer = database.committer(INSERT)
    stop = asyncio.Event()

    async def client(index: int) -> int:
        number = index * 100_000
        while not stop.is_set():
            number += 1
            assert await committer.submit(Entry(number, 1, f"note {number}")) == 1
        return number - index * 100_000

    clients = [asyncio.ensure_future(client(index)) for index in range(8)]
    await asyncio.sleep(0.1)
    gate.open = False
    await asyncio.sleep(TTL_S)
    await manager.ensure_running()
    await until(admin, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'gate/%/1/%'")
    gate.open = True
    await asyncio.sleep(0.5)
    stop.set()
    count = sum(await asyncio.gather(*clients))
    assert await admin.fetchval("SELECT count(*) FROM entries") == count
    await database.close()
