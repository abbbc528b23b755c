"""The pool manager on a real server, in this process: the actor's class without Ray is its own twin."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from actors.pool.actor import PoolManagerActor
from actors.pool.budget import SILENT_S
from actors.pool.connector import Connector
from actors.pool.database import Database
from actors.pool.lease import LeasedPool
from actors.pool.messages import Grant, Renewed, Wait
from actors.pool.usage import Figures
from actors.pool.windows import WeeklyWindow
from actors.runtime.errors import ActorError, Unavailable
from tests.integration.pool.conftest import INSERT, Entry, OpenDatabase, backends, until

TTL_S = 0.5


Make = Callable[..., PoolManagerActor]


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

    async def renew(
        self, lease_id: str, holder: str, size: int, want: int, active: bool = True, figures: Figures | None = None
    ) -> Renewed | None:
        return await self._pass().renew(lease_id, holder, size, want, active, figures)

    async def release(self, lease_id: str, figures: Figures | None = None) -> None:
        await self._pass().release(lease_id, figures)


@pytest.fixture
async def managers(url: str, admin: asyncpg.Connection) -> AsyncIterator[Make]:  # noqa: ARG001  # no lease is out yet
    """Return a way to make managers, which end with the test."""
    made: list[PoolManagerActor] = []

    def make(
        budget: int = 6, *, ttl_s: float = TTL_S, url: Callable[[], str] = lambda: url, **options: Any
    ) -> PoolManagerActor:
        made.append(PoolManagerActor("v1", url, budget, name="gate", ttl_s=ttl_s, **options))
        return made[-1]

    yield make
    for each in made:
        await each.stop()


@pytest.fixture
async def manager(managers: Make) -> PoolManagerActor:
    """Make a manager of six connections with a short term."""
    return managers()


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
    url: str, manager: PoolManagerActor, managers: Make, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """Statements run on, no connection is lost, and nothing new is granted before one term is over."""
    gate = Gate(manager)
    lease = await start(leases, url, gate, 4)
    await lease.pool.warm(4)
    before = await backends(admin, "gate/")
    await manager.stop()
    gate.manager = successor = managers()
    assert isinstance(await successor.request("newcomer", 2), Wait)
    await start(leases, url, Gate(successor), 2)
    assert [each.pool.size for each in leases] == [4, 2]
    assert await backends(admin, "gate/") == before
    assert not (await successor.snapshot()).recovering


async def test_strangers_are_ended_before_anything_is_granted(
    url: str, managers: Make, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """Connections of a holder that does not renew go when the recovery ends."""
    strangers = [await Connector(url).connect("gate/old/1/x") for _ in range(3)]
    neighbours = await Connector(url).connect("gates/other/1/y")
    manager = managers()
    lease = await start(leases, url, Gate(manager), 6)
    assert lease.pool.size == 6
    assert await backends(admin, "gate/old") == []
    assert len(await backends(admin, "gates/")) == 1, "another gateway's are left alone"
    for connection in [*strangers, neighbours]:
        connection.terminate()


async def test_what_cannot_be_ended_is_not_granted(url: str, managers: Make, admin: asyncpg.Connection) -> None:
    """While the server cannot be reached, an expired lease counts."""
    urls = [url]
    manager = managers(ttl_s=0.05, url=lambda: urls[0])
    assert isinstance(await manager.request("dead", 6), Grant)
    urls[0] = "postgresql://x@127.0.0.1:1/x"
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'easypay-pool-manager'"
    )
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
    async with asyncio.timeout(20):
        while (await manager.state()).enforced == 0:
            await asyncio.sleep(0.01)
        gate.open = True
        while (await manager.state()).granted == 1:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    stop.set()
    count = sum(await asyncio.gather(*clients))
    assert await admin.fetchval("SELECT count(*) FROM entries") == count
    await database.close()


_HOLDER = """
import asyncio, sys
from actors.pool.connector import Connector

async def hold(url, name, count):
    connections = [await Connector(url).connect(name) for _ in range(count)]
    busy = asyncio.ensure_future(connections[0].execute("SELECT pg_sleep(600)", timeout=600))
    await asyncio.sleep(0)
    print("held", flush=True)
    await busy

asyncio.run(hold(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_what_a_killed_process_held_is_free_within_two_seconds(
    url: str, managers: Make, admin: asyncpg.Connection
) -> None:
    """Long before its term is over, and even what was in the middle of a statement."""
    manager = managers(ttl_s=30.0)
    lease = await manager.request("victim", 6)
    assert isinstance(lease, Grant)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLDER, url, lease.lease_id, "6", stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        renewing = asyncio.ensure_future(_renew(manager, lease))
        assert await holder.stdout.readline() == b"held\n"
        await until(
            admin,
            "SELECT true FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep'",
            lease.lease_id,
        )
        assert isinstance(await manager.request("heir", 6), Wait)
        renewing.cancel()
    finally:
        holder.kill()
        await holder.wait()
    began = time.monotonic()
    while isinstance(await manager.request("heir", 6), Wait):
        await asyncio.sleep(0.01)
    took_s = time.monotonic() - began
    print(f"free {took_s:.2f} s after the kill")
    assert took_s < 2.0
    state = await manager.state()
    assert (state.vanished, state.enforced) == (1, 0)
    assert await backends(admin, lease.lease_id) == []


async def _renew(manager: PoolManagerActor, lease: Grant) -> None:
    while True:
        assert await manager.renew(lease.lease_id, "victim", 6, 6) is not None
        await asyncio.sleep(1.0)


async def test_a_silent_process_whose_connections_live_keeps_its_lease(url: str, managers: Make) -> None:
    """A loop that stalls for a while is not dead."""
    manager = managers(ttl_s=30.0)
    lease = await manager.request("still", 6)
    assert isinstance(lease, Grant)
    connection = await Connector(url).connect(lease.lease_id)
    await asyncio.sleep(2 * SILENT_S)
    assert await manager.renew(lease.lease_id, "still", 6, 6) == Renewed(6)
    assert await connection.fetchval("SELECT 1") == 1
    connection.terminate()


async def test_the_budget_is_what_the_server_has_room_for(managers: Make, admin: asyncpg.Connection) -> None:
    """120 less those reserved for superusers, less the manager's reserve; a role may have a limit of its own."""
    manager = managers(500, reserve=17)
    assert isinstance(await manager.request("greedy", 500), Grant)
    state = await manager.state()
    assert (state.configured, state.server_max, state.budget.total) == (500, 117, 100)
    await admin.execute("ALTER DATABASE postgres CONNECTION LIMIT 40")
    try:
        smaller = managers(500, reserve=17)
        await smaller.request("greedy", 500)
        assert (await smaller.snapshot()).total == 23
    finally:
        await admin.execute("ALTER DATABASE postgres CONNECTION LIMIT -1")


async def test_a_window_drains_holds_and_gives_back(
    url: str, managers: Make, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """No connection is left in it, a statement in flight ends in peace, and afterwards all goes on."""
    manager = managers(ttl_s=5.0)
    lease = await start(leases, url, Gate(manager), 6)
    await lease.pool.warm(6)
    running = asyncio.ensure_future(_sleep(lease, 0.3))
    await asyncio.sleep(0)
    state = await manager.open_window(0, 60.0, "upgrade")
    assert state.window_reason == "upgrade"
    await until(admin, "SELECT count(*) = 0 FROM pg_stat_activity WHERE starts_with(application_name, 'gate/')")
    assert await running == 1
    async with asyncio.timeout(5):
        while lease.pool.size > 0:
            await asyncio.sleep(0.01)
    with pytest.raises(Unavailable, match="worked on") as held:
        await lease.pool.take(5.0)
    assert 50 < held.value.retry_after_s <= 60
    assert isinstance(await manager.request("newcomer", 1), Wait)
    waiting = asyncio.ensure_future(_sleep(lease, 0.0, timeout_s=70.0))
    state = await manager.close_windows()
    assert state.window_ends_at is None
    assert await waiting == 1
    assert lease.pool.size > 0


async def _sleep(lease: LeasedPool, seconds: float, timeout_s: float = 5.0) -> int:
    async with lease.pool.acquire(timeout_s) as connection:
        return int(await connection.fetchval("SELECT 1 FROM pg_sleep($1)", seconds))


async def test_a_window_of_the_schedule_shrinks_the_budget(managers: Make) -> None:
    """By the calendar, without anybody there."""
    now = datetime.now(UTC)
    schedule = [WeeklyWindow(None, (now - timedelta(minutes=1)).time(), timedelta(minutes=30), 2)]
    manager = managers(schedule=schedule)
    answer = await manager.request("a", 6)
    assert isinstance(answer, Grant)
    assert answer.size == 2


async def test_the_lease_grows_with_its_load(
    url: str, managers: Make, leases: list[LeasedPool], admin: asyncpg.Connection
) -> None:
    """To what another process leaves when callers wait, and never beyond the budget."""
    manager = managers(6, ttl_s=5.0)
    busy = LeasedPool(Connector(url), name="busy", want=6, least=1, manager=Gate(manager), renew_interval_s=0.05)
    leases.append(busy)
    await busy.start()
    other = LeasedPool(Connector(url), name="other", want=1, least=1, manager=Gate(manager), renew_interval_s=0.05)
    leases.append(other)
    await other.start()
    assert busy.pool.size + other.pool.size <= 6
    async with asyncio.timeout(20):
        work = [asyncio.ensure_future(_work(busy)) for _ in range(12)]
        while busy.pool.size < 5:
            assert len(await backends(admin, "gate/")) <= 6
            await asyncio.sleep(0.01)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


async def _work(lease: LeasedPool) -> None:
    while True:
        await _sleep(lease, 0.01)


async def test_a_new_connection_has_prepared_what_the_others_know(open_database: OpenDatabase) -> None:
    """Its first use of a statement finds it."""
    async with open_database(want=2) as database:
        await database.fetch("SELECT $1::int + 41", 1)
        async with database.pool.acquire(5.0):
            assert await database.pool.warm(2) == 2
            (row,) = await database.fetch("SELECT array_agg(statement) AS known FROM pg_prepared_statements")
        assert "SELECT $1::int + 41" in row["known"]


async def test_an_idle_connection_that_is_cut_is_found_by_a_probe(
    open_database: OpenDatabase, admin: asyncpg.Connection
) -> None:
    """And one that lives stays."""
    async with open_database(want=2) as database:
        await asyncio.gather(database.fetch("SELECT pg_sleep(0.05)"), database.fetch("SELECT pg_sleep(0.05)"))
        pids = await backends(admin, "test-")
        for connection in database.pool._idle:
            connection.used_at -= 60
        database.pool.tend()
        async with asyncio.timeout(5):
            while database.pool.idle < 2:
                await asyncio.sleep(0.01)
        assert await backends(admin, "test-") == pids
