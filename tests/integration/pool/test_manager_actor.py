"""The pool manager and the runtime as real actors of a Ray on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest
import ray

from actors.pool.actor import POOL_MANAGER_NAME, PoolManagerActor
from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.pool.messages import Grant, PoolState, Renewed
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, RowRejected, Unavailable
from actors.runtime.spec import ActorSpec, create
from tests.integration.pool.conftest import backends, until
from tests.integration.pool.ray_actors import HolderActor, ServantActor, ServantClient

pytestmark = [
    pytest.mark.ray,
]

BUDGET = 6
TTL_S = 2.0


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    """Run a Ray of two workers, in a folder whose path is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="epr-", dir="/tmp")
    ray.init(num_cpus=2, include_dashboard=False, _temp_dir=folder, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def namespace(_ray: None) -> str:
    """Return a namespace that no other test uses."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def actors(namespace: str) -> Iterator[dict[str, Any]]:
    """Return the actors that a test made, by name; they end with it."""
    made: dict[str, Any] = {}
    yield made
    for name in made:
        with contextlib.suppress(ValueError):
            ray.kill(ray.get_actor(name, namespace))


@pytest.fixture
async def manager(
    namespace: str,
    actors: dict[str, Any],
    url: str,
    admin: asyncpg.Connection,
) -> PoolManagerClient:
    """Start the manager as the supervisor would, and return a client of it."""
    await until(admin, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'raygate/%'")
    spec = ActorSpec(POOL_MANAGER_NAME, PoolManagerActor, (functools.partial(str, url), BUDGET, "raygate", TTL_S))
    actors[POOL_MANAGER_NAME] = await asyncio.to_thread(create, spec, namespace)
    assert await actors[POOL_MANAGER_NAME].ensure_running.remote() == spec.code_version
    return PoolManagerClient(namespace)


Open = Callable[..., Awaitable[Database]]


@pytest.fixture
async def open_database(manager: PoolManagerClient, url: str) -> AsyncIterator[Open]:
    """Return a way to open databases on leases of the manager, closed at the end of the test."""
    opened: list[Database] = []

    async def open_one(name: str, *, want: int) -> Database:
        opened.append(await Database.open(url, name=name, manager=manager, want=want, warm=want))
        return opened[-1]

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
async def servant(namespace: str, actors: dict[str, Any]) -> ServantClient:
    """Start a servant with a mailbox for two."""
    spec = ActorSpec("servant", ServantActor, max_pending_calls=2)
    actors["servant"] = await asyncio.to_thread(create, spec, namespace)
    return ServantClient("servant", namespace)


async def test_a_lease_goes_all_the_way_round(manager: PoolManagerClient) -> None:
    """Request, renew, snapshot and release answer with the plain messages of the budget."""
    lease = await manager.request("a", 4)
    assert isinstance(lease, Grant)
    assert lease.size == 4
    assert await manager.request("a", 4) == lease
    assert await manager.renew(lease.lease_id, "a", 4, 2) == Renewed(2)
    assert (await manager.snapshot()).leases == ((lease.lease_id, "a", 2, 4),)
    await manager.release(lease.lease_id)
    await manager.release(lease.lease_id)
    assert (await manager.snapshot()).free == BUDGET


async def test_creating_an_actor_twice_finds_it(manager: PoolManagerClient, namespace: str, url: str) -> None:
    """The second time changes nothing, whatever its arguments are."""
    await manager.request("a", 4)
    spec = ActorSpec(POOL_MANAGER_NAME, PoolManagerActor, (functools.partial(str, url), 1))
    await asyncio.to_thread(create, spec, namespace)
    assert (await manager.snapshot()).total == BUDGET


async def test_a_killed_manager_is_not_noticed_by_who_holds_a_lease(
    manager: PoolManagerClient, actors: dict[str, Any], open_database: Open, admin: asyncpg.Connection
) -> None:
    """It restarts, adopts the lease, and no connection is lost; others are served after the recovery."""
    database = await open_database("holder", want=4)
    before = await backends(admin, "raygate/")
    assert len(before) == 4
    ray.kill(actors[POOL_MANAGER_NAME], no_restart=False)
    began = time.monotonic()
    while not (await manager.snapshot()).recovering:
        await asyncio.sleep(0.01)
    print(f"back {time.monotonic() - began:.1f} s after the kill")
    newcomer = await open_database("newcomer", want=2)
    print(f"granted {time.monotonic() - began:.1f} s after the kill")
    assert newcomer.pool.size == 2
    assert database.pool.size == 4
    assert await database.fetch("SELECT 1") != []
    assert (await backends(admin, "raygate/"))[:4] == before
    snapshot = await manager.snapshot()
    assert (snapshot.free, len(snapshot.leases), snapshot.recovering) == (0, 2, False)
    await newcomer.close()
    await database.close()
    assert (await manager.snapshot()).free == BUDGET


async def test_dead_processes_leases_are_taken_back(
    manager: PoolManagerClient, namespace: str, actors: dict[str, Any], url: str, admin: asyncpg.Connection
) -> None:
    """Eight processes share six connections; after a SIGKILL of three, what they held is soon free."""
    for number in range(8):
        spec = ActorSpec(f"holder-{number}", HolderActor, (url, namespace))
        actors[spec.name] = await asyncio.to_thread(create, spec, namespace)
    opening = [asyncio.ensure_future(_opened(actors[f"holder-{number}"])) for number in range(8)]
    opened = await asyncio.gather(*opening)
    assert len(await backends(admin, "raygate/")) <= BUDGET
    assert sum(size for _, _, size, _ in (await manager.snapshot()).leases) <= BUDGET
    before = await manager.state()
    for pid, _ in opened[:3]:
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    async with asyncio.timeout(10):
        while (await manager.state()).budget.leases and not _gone(opened[:3], await manager.state()):
            assert len(await backends(admin, "raygate/")) <= BUDGET
            await asyncio.sleep(0.02)
    print(f"taken back {time.monotonic() - began:.2f} s after the death")
    after = await manager.state()
    assert (after.vanished - before.vanished, after.enforced) == (3, before.enforced)


async def _opened(holder: Any) -> tuple[int, int]:
    opened: tuple[int, int] = await holder.open.remote(2)
    return opened


def _gone(opened: list[tuple[int, int]], state: PoolState) -> bool:
    holders = [holder for _, holder, _, _ in state.budget.leases]
    return not any(f"-{pid}-" in holder for pid, _ in opened for holder in holders)


async def test_a_process_that_stands_still_is_ended_at_the_server(
    open_database: Open, namespace: str, actors: dict[str, Any], url: str, admin: asyncpg.Connection
) -> None:
    """Its connections live, so the manager ends them before it grants them again."""
    actors["holder"] = await asyncio.to_thread(create, ActorSpec("holder", HolderActor, (url, namespace)), namespace)
    pid, _ = await actors["holder"].open.remote(BUDGET)
    os.kill(pid, signal.SIGSTOP)
    try:
        heir = await open_database("heir", want=BUDGET)
        assert heir.pool.size == BUDGET
        assert len(await backends(admin, "raygate/")) <= BUDGET
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_an_actor_s_error_is_raised_as_it_is(servant: ServantClient) -> None:
    """Class and fields arrive; one that cannot be pickled arrives as text."""
    with pytest.raises(RowRejected) as rejected:
        await servant.ask("reject")
    assert type(rejected.value) is RowRejected
    assert rejected.value.args == ("statement", "23505", "key")
    assert "Traceback" not in str(rejected.value)
    with pytest.raises(Exception, match="this and that"):
        await servant.ask("fail")


async def test_a_repeatable_call_survives_a_restart(servant: ServantClient, actors: dict[str, Any]) -> None:
    """The actor is another process afterwards, found by its name."""
    before = await servant.ask("pid")
    ray.kill(actors["servant"], no_restart=False)
    async with asyncio.timeout(20):
        while await servant.ask("pid", timeout_s=20) == before:
            pass  # Ray's order to die is on its way.


async def test_a_call_that_was_lost_is_unknown_unless_it_is_repeatable(servant: ServantClient) -> None:
    """The actor died with the call in its hands."""
    await servant.ask("echo", "warm")
    with pytest.raises(OutcomeUnknown):
        await servant.ask("die", repeatable=False)


async def test_an_actor_that_is_gone_is_unavailable(servant: ServantClient, actors: dict[str, Any]) -> None:
    """There is none of that name, at once and not at the deadline."""
    await servant.ask("echo", "warm")
    ray.kill(actors.pop("servant"))
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await _ask_for_ever(servant)  # The kill takes a moment to arrive.
    assert time.monotonic() - began < 10


async def _ask_for_ever(servant: ServantClient) -> None:
    while True:
        await servant.ask("echo", "x", timeout_s=30)


async def test_a_full_mailbox_is_overload_and_no_answer_a_deadline(servant: ServantClient) -> None:
    """Beyond max_pending_calls Ray refuses, and the client says so at once."""
    waiting = [asyncio.ensure_future(servant.ask("wait", timeout_s=1.5)) for _ in range(2)]
    while servant._handle is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    with pytest.raises(Overloaded, match="servant"):
        await servant.ask("echo", "x")
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DeadlineExceeded, DeadlineExceeded]
