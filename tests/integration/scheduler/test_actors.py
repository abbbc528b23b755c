"""The scheduler and its workers as real actors of a Ray on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from uuid import UUID

import asyncpg
import pytest

from actors.pool.database import Database
from actors.scheduler.client import TaskQueue, TaskSchedulerClient
from actors.scheduler.lifecycle import ORPHANED_MAX, SUSPECT_AFTER
from actors.scheduler.table import TaskTable
from actors.scheduler.task import TaskState
from actors.scheduler.views import TaskView
from serve_app.domain.ids import new_id
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.ray_tasks import RUNS, Work, killing, killing_reckoner, noop, noted, reckon
from tests.support.task_cluster import SCHEDULER, TaskCluster, task_cluster, until_ended

pytestmark = [
    pytest.mark.ray,
]


@pytest.fixture(scope="module")
def cluster(postgres: TestPostgres) -> Iterator[TaskCluster]:
    """Run a scheduler and two workers."""
    asyncio.run(_prepare(postgres))
    with task_cluster(postgres) as cluster:
        yield cluster


async def _prepare(postgres: TestPostgres) -> None:
    connection = await asyncpg.connect(postgres.url())
    for table in ("tasks", "task_dispatches", "task_queue", "task_crons", "task_uniques"):
        await connection.execute(f"DELETE FROM {table}")
    await connection.execute(RUNS)
    await connection.execute(f"GRANT ALL ON task_runs TO {APP_ROLE}")
    await connection.close()


@pytest.fixture
async def connection(postgres: TestPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Look at the tables beside the scheduler."""
    opened = await asyncpg.connect(postgres.url())
    yield opened
    await opened.close()


@pytest.fixture
async def database(postgres: TestPostgres) -> AsyncIterator[Database]:
    """Open the database as a replica does."""
    opened = await Database.open(postgres.url(APP_ROLE), name="replica", manager=None, want=2)
    yield opened
    await opened.close()


@pytest.fixture
async def queue(cluster: TaskCluster, database: Database) -> AsyncIterator[TaskQueue]:
    """Return the way into the queue."""
    queue = TaskQueue(database, cluster.namespace)
    yield queue
    queue.close()


async def _view(database: Database, task_id: UUID, holds: Callable[[TaskView], bool], within_s: float) -> TaskView:
    table = TaskTable(database)
    async with asyncio.timeout(within_s):
        while True:
            view = await table.find(task_id)
            assert view is not None
            if holds(view):
                return view
            await asyncio.sleep(0.02)


def _is_final(view: TaskView) -> bool:
    return view.state is not TaskState.PENDING


async def _until_running(connection: asyncpg.Connection, task_id: UUID) -> int:
    """Wait until a task runs, and return the process that it ran in last."""
    give_up = time.monotonic() + 20
    while True:
        pid = await connection.fetchval(
            "SELECT worker FROM task_runs WHERE task_id = $1 ORDER BY began DESC LIMIT 1", task_id
        )
        if pid is not None:
            return int(pid)
        row = await connection.fetchrow("SELECT state, attempts, orphaned, error FROM tasks WHERE id = $1", task_id)
        assert row["attempts"] == 0, row
        assert time.monotonic() < give_up, row
        await asyncio.sleep(0.01)


async def test_tasks_are_run(queue: TaskQueue, connection: asyncpg.Connection, cluster: TaskCluster) -> None:
    """All that were enqueued, however many at once; what waited and ran is counted."""
    tasks = [noop.new(number, id=new_id()) for number in range(500)]
    assert await asyncio.gather(*map(queue.submit, tasks)) == [True] * 500
    await until_ended(connection, 0, within_s=20)
    status = await TaskSchedulerClient(cluster.namespace).status()
    assert status.names["noop"].ended == {"succeeded": 500}
    assert status.names["noop"].wait_s.count == 500
    assert [worker.is_connected for worker in status.workers] == [True, True]


async def test_a_worker_s_death_has_its_tasks_run_again_within_two_seconds(
    queue: TaskQueue, connection: asyncpg.Connection, database: Database, cluster: TaskCluster
) -> None:
    """On another worker, counted as orphaned; a lane is not entered by the next meanwhile."""
    first, second = (noted.new(Work(0.5, "l"), id=new_id(), lane="l") for _ in range(2))
    await queue.submit(first)
    pid = await _until_running(connection, first.id)
    await queue.submit(second)
    cluster.kill(pid)
    killed = time.monotonic()
    async with asyncio.timeout(10):
        while await _until_running(connection, first.id) == pid:
            await asyncio.sleep(0.01)
    again_s = time.monotonic() - killed
    print(f"run again {again_s:.2f} s after the death")
    assert (await _view(database, first.id, _is_final, 10)).orphaned == 1
    assert (await _view(database, second.id, _is_final, 10)).orphaned == 0
    began = await connection.fetchval("SELECT began FROM task_runs WHERE task_id = $1", second.id)
    ended = await connection.fetchval("SELECT max(ended) FROM task_runs WHERE task_id = $1", first.id)
    assert began >= ended
    assert again_s < 2


async def test_the_scheduler_s_death_loses_nothing(
    queue: TaskQueue, connection: asyncpg.Connection, database: Database, cluster: TaskCluster
) -> None:
    """What runs goes on and is adopted, not run again; what is enqueued meanwhile runs once Ray has restarted it."""
    running = noted.new(Work(3.0), id=new_id())
    await queue.submit(running)
    await _until_running(connection, running.id)
    (pid,) = cluster.find(SCHEDULER)
    cluster.kill(pid)
    killed = time.monotonic()
    waiting = noted.new(Work(0.0), id=new_id())
    await queue.submit(waiting)
    await _until_running(connection, waiting.id)
    run_s = time.monotonic() - killed
    print(f"the next task ran {run_s:.2f} s after the scheduler's death")
    assert (await _view(database, running.id, _is_final, 10)).orphaned == 0
    assert await connection.fetchval("SELECT count(*) FROM task_runs WHERE task_id = $1", running.id) == 1
    # It takes Ray three seconds to have the process there, where nothing else wants the processors.
    assert run_s < 15


async def test_a_task_that_kills_its_worker_ends_dead(
    queue: TaskQueue, connection: asyncpg.Connection, database: Database
) -> None:
    """Alone, in the end; its neighbour is not counted dead with it."""
    neighbour, killer = noted.new(Work(20.0), id=new_id()), killing.new(None, id=new_id())
    await queue.submit(neighbour)
    await queue.submit(killer)
    view = await _view(database, killer.id, _is_final, 60)
    assert (view.state, view.orphaned) == (TaskState.DEAD, ORPHANED_MAX)
    assert await connection.fetchval("SELECT count(*) FROM task_runs WHERE task_id = $1", killer.id) == ORPHANED_MAX
    view = await _view(database, neighbour.id, lambda view: view.state is TaskState.SUCCEEDED, 60)
    assert view.orphaned <= SUSPECT_AFTER


async def test_what_runs_is_cancelled(
    queue: TaskQueue, connection: asyncpg.Connection, database: Database, cluster: TaskCluster
) -> None:
    """In its worker, and in a process of its own; what waits for its lane too."""
    scheduler = TaskSchedulerClient(cluster.namespace)
    long, next_one = (noted.new(Work(60.0, "c"), id=new_id(), lane="c") for _ in range(2))
    busy = reckon.new(Work(60.0), id=new_id())
    for task in (long, next_one, busy):
        await queue.submit(task)
    await _until_running(connection, long.id)
    async with asyncio.timeout(20):
        while not cluster.find("ray::task reckon"):
            await asyncio.sleep(0.05)
    for task in (next_one, long, busy):
        await scheduler.cancel(task.id)
    for task in (next_one, long, busy):
        assert (await _view(database, task.id, _is_final, 20)).state is TaskState.CANCELLED
    assert cluster.find("ray::task reckon") == []


async def test_cpu_tasks_run_in_processes_of_their_own(queue: TaskQueue, database: Database) -> None:
    """One that kills its process is orphaned until it is dead, and its worker lives."""
    good, bad = reckon.new(Work(0.2), id=new_id()), killing_reckoner.new(None, id=new_id())
    await queue.submit(good)
    await queue.submit(bad)
    assert (await _view(database, good.id, _is_final, 30)).state is TaskState.SUCCEEDED
    view = await _view(database, bad.id, _is_final, 60)
    assert (view.state, view.orphaned) == (TaskState.DEAD, ORPHANED_MAX)
