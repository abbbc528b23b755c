"""Clusters that share a real database: the table, and two managers on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import asyncpg
import pytest

from actors.pool.actor import PoolManagerActor
from actors.pool.clusters.membership import LEASE_S, RIGHTS_S, Beat, Member
from actors.pool.clusters.register import StoredRegister, sign_off
from actors.pool.connector import Connector
from actors.pool.lease import LeasedPool
from actors.runtime.errors import DeadlineExceeded, Unavailable
from tests.support.postgres import APP_ROLE, TestPostgres

_BUDGET = 6
_LEASED = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'two-%/%'"


@pytest.fixture
def url(postgres: TestPostgres) -> str:
    """Return the URL of the gateway's role on a database with its tables."""
    return postgres.url(APP_ROLE)


@pytest.fixture
async def owner(postgres: TestPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Connect beside the clusters, of which there are none yet."""
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("DELETE FROM clusters")
    yield connection
    connection.terminate()


Make = Callable[[str], PoolManagerActor]


@pytest.fixture
async def managers(url: str, owner: asyncpg.Connection) -> AsyncIterator[Make]:  # noqa: ARG001 - the table is empty
    """Return a way to make managers of clusters, which end with the test."""
    made: list[PoolManagerActor] = []

    def make(name: str) -> PoolManagerActor:
        made.append(PoolManagerActor("v1", lambda: url, _BUDGET, name=name, register=StoredRegister))
        return made[-1]

    yield make
    for each in made:
        await each.stop()


@pytest.fixture
async def pools(url: str) -> AsyncIterator[Callable[[PoolManagerActor], LeasedPool]]:
    """Return a way to make a process's pool, which wants everything and opens what it may."""
    made: list[LeasedPool] = []

    def make(manager: PoolManagerActor) -> LeasedPool:
        made.append(LeasedPool(Connector(url), name="holder", want=_BUDGET, manager=manager, renew_interval_s=0.1))
        return made[-1]

    yield make
    for each in made:
        with suppress(Unavailable):
            await each.stop()


class _Watch:
    """Has each pool in use up to its size, and counts at the server."""

    def __init__(self, owner: asyncpg.Connection) -> None:
        self._owner = owner
        self.most = 0

    async def until(self, condition: Callable[[], bool], within_s: float, *pools: LeasedPool) -> None:
        """Use what there is until the condition holds."""
        async with asyncio.timeout(within_s):
            while not condition():
                for lease in pools:
                    taken = []
                    with suppress(Unavailable):
                        async with asyncio.timeout(1):
                            for _ in range(lease.pool.size):
                                taken.append(await lease.pool.take(1))
                    self.most = max(self.most, await self._owner.fetchval(_LEASED))
                    for connection in taken:
                        lease.pool.give_back(connection)
                await asyncio.sleep(0.02)


async def test_a_second_cluster_gets_its_half_and_the_first_has_all_again(
    url: str, owner: asyncpg.Connection, managers: Make, pools: Callable[[PoolManagerActor], LeasedPool]
) -> None:
    """Never more than the budget at the server; and caches are silent before the second has any connection."""
    watch = _Watch(owner)
    first, second = managers("two-a"), managers("two-b")
    pool = pools(first)
    await pool.start()
    await watch.until(lambda: pool.pool.size == _BUDGET, 5, pool)
    reign = await first.reign()
    assert reign.number is not None
    assert 0 < reign.for_s <= RIGHTS_S
    began = asyncio.get_running_loop().time()
    await second.ensure_running()
    other = pools(second)
    starting = asyncio.create_task(other.start(RIGHTS_S + 5))
    await watch.until(lambda: other.pool.size == _BUDGET // 2, RIGHTS_S + 8, pool, other)
    await starting
    assert asyncio.get_running_loop().time() - began > RIGHTS_S - 1.5, "permissions of before may last so long"
    assert (await first.reign()).number is (await second.reign()).number is None
    async with asyncio.timeout(3):  # By its next beat.
        while [(each.share, each.is_own) for each in (await first.state()).clusters] != [(3, True), (3, False)]:
            await asyncio.sleep(0.05)
    await other.stop()
    await second.stop()
    assert await sign_off(url, "two-b")
    await watch.until(lambda: pool.pool.size == _BUDGET, 5, pool)
    again = await first.reign()
    assert again.number is not None
    assert again.number > reign.number
    assert watch.most == _BUDGET


async def test_a_dead_cluster_s_connections_are_ended_before_others_have_its_share(
    owner: asyncpg.Connection,
    managers: Make,
    pools: Callable[[PoolManagerActor], LeasedPool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its manager is silent for longer than its lease, while its processes go on with what they have."""
    watch = _Watch(owner)
    first = managers("two-a")
    pool = pools(first)
    await pool.start()
    await watch.until(lambda: pool.pool.size == _BUDGET, 5, pool)
    held = [await pool.pool.take(1) for _ in range(_BUDGET)]
    # It goes on renewing leases: only its beats are missing, for they do not arrive.
    assert first._clusters is not None
    monkeypatch.setattr(first._clusters._register, "beat", _lost)
    second = managers("two-b")
    await second.ensure_running()
    other = pools(second)
    starting = asyncio.create_task(other.start(LEASE_S + 8))
    await watch.until(lambda: other.pool.size == _BUDGET, LEASE_S + 8, other)
    await starting
    assert await owner.fetchval("SELECT array_agg(name) FROM clusters") == ["two-b"]
    assert all(connection.is_closed() for connection in held)
    with pytest.raises(DeadlineExceeded):
        await pool.pool.take(0.5)
    assert watch.most == _BUDGET
    for connection in held:
        pool.pool.give_back(connection)


async def _lost(_: object) -> list[Member]:
    raise Unavailable("the table", "cut off", 1.0)


def _goes_on(members: Sequence[Member]) -> Beat:
    return Beat(_BUDGET, held=4, acknowledged=0, alone=True, is_new=not members)


async def test_one_process_speaks_for_a_name_and_the_next_need_not_wait(url: str, owner: asyncpg.Connection) -> None:
    """The lock is the session's: it goes with the process that holds it."""
    first, second = StoredRegister(lambda: url, "two-a"), StoredRegister(lambda: url, "two-a")
    await first.beat(_goes_on)
    (before,) = await first.beat(_goes_on)
    with pytest.raises(Unavailable):
        await second.beat(_goes_on)
    await first.close()
    async with asyncio.timeout(2):
        while True:
            with suppress(Unavailable):
                (after,) = await second.beat(_goes_on)
                break
    assert (after.joined, after.reign, after.held) == (before.joined, before.reign, 4)
    assert after.life != before.life
    assert await owner.fetchval("SELECT count(*) FROM clusters") == 1
    await second.close()


async def test_the_session_of_a_dead_process_does_not_keep_its_name(url: str, owner: asyncpg.Connection) -> None:
    """A machine that is gone may leave it open for hours; its row says that it is dead."""
    first, second = StoredRegister(lambda: url, "two-a"), StoredRegister(lambda: url, "two-a")
    await first.beat(_goes_on)
    await owner.execute("UPDATE clusters SET seen_at = seen_at - interval '1 minute'")
    (after,) = await second.beat(_goes_on)
    assert after.silent_s < 1
    await first.close()
    await second.close()


async def test_one_that_has_beaten_since_it_was_seen_is_not_removed(url: str, owner: asyncpg.Connection) -> None:
    """And one that has not is."""
    first, second = StoredRegister(lambda: url, "two-a"), StoredRegister(lambda: url, "two-b")
    await first.beat(_goes_on)

    async def seen_dead() -> Member:
        await owner.execute("UPDATE clusters SET seen_at = seen_at - interval '1 minute' WHERE name = 'two-a'")
        members = await second.beat(lambda members: Beat(_BUDGET, is_new=len(members) == 1))
        return next(each for each in members if each.name == "two-a")

    dead = await seen_dead()
    assert dead.is_dead
    await first.beat(_goes_on)
    assert not await second.remove(dead)
    assert await second.remove(await seen_dead())
    assert await owner.fetchval("SELECT array_agg(name) FROM clusters") == ["two-b"]
    await first.close()
    await second.close()
