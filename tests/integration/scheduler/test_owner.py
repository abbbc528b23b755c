"""The owner of the queue with workers in this process, on a real PostgreSQL and real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import pytest

from actors.pool.database import Database
from actors.scheduler.client import TaskQueue
from actors.scheduler.owner import QueueOwner
from actors.scheduler.registry import Registry, Run
from actors.scheduler.retry import GiveUp, Retry, RetryPolicy
from actors.scheduler.store import NotOwner, TaskStore
from actors.scheduler.table import TaskTable
from actors.scheduler.task import NewTask, TaskState
from actors.scheduler.views import TaskView
from serve_app.domain.ids import new_id
from tests.support.local_workers import LocalWorker

_QUICK = RetryPolicy(attempts_max=3, first_s=0.01)


class Diary:
    """What tasks did, and what holds them up."""

    def __init__(self) -> None:
        self.runs: list[tuple[UUID, int]] = []
        self.times: list[datetime] = []
        self.gate = asyncio.Event()


registry: Registry[Diary] = Registry()


@registry.task("held", timeout_s=30.0)
async def held(run: Run[Diary]) -> None:
    """Wait until the test lets it go."""
    run.services.runs.append((run.task_id, run.attempt))
    run.progress(1, 2, "half")
    await run.services.gate.wait()


@registry.task("failing", retry=_QUICK)
async def failing(run: Run[Diary], how: str) -> None:
    """Fail in some way."""
    run.services.runs.append((run.task_id, run.attempt))
    match how:
        case "once" if run.attempt > 1:
            return
        case "retry":
            raise Retry("not yet", 0.01)
        case "give up":
            raise GiveUp("never")
    raise ValueError(how)


@registry.task("slow", retry=_QUICK, timeout_s=0.05)
async def slow(_run: Run[Diary]) -> None:
    """Take too long."""
    await asyncio.sleep(30)


@registry.task("often", every_s=0.2)
async def often(run: Run[Diary], due_at: datetime) -> None:
    """Run by itself."""
    run.services.times.append(due_at)


class Bench:
    """An owner with two workers, and a way into its queue."""

    def __init__(self, database: Database, diary: Diary) -> None:
        self.database = database
        self.diary = diary
        self.workers: dict[str, LocalWorker] = {}
        self.table = TaskTable(database)
        self.queue = TaskQueue(database, "nowhere")

    def owner(self) -> QueueOwner:
        """Return one that has not begun."""
        return QueueOwner(TaskStore(self.database), registry, self.workers, new_id=new_id, counts={})

    @asynccontextmanager
    async def owned(self) -> AsyncIterator[QueueOwner]:
        """Run an owner for as long as the block lasts."""
        owner = self.owner()
        running = asyncio.ensure_future(owner.run())
        yield owner
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def until(self, task: NewTask, holds: Callable[[TaskView], bool] | None = None) -> TaskView:
        """Wait until a task has ended, or is as wanted."""
        async with asyncio.timeout(20):
            while True:
                view = await self.table.find(task.id)
                assert view is not None
                if holds(view) if holds else view.state is not TaskState.PENDING:
                    return view
                await asyncio.sleep(0.01)

    async def until_runs(self, count: int) -> None:
        """Wait until there were so many runs."""
        async with asyncio.timeout(20):
            while len(self.diary.runs) < count:
                await asyncio.sleep(0.01)

    async def busy_worker(self) -> LocalWorker:
        """Return the worker that a task holds up. ``often`` runs by itself, for a moment, on any of them."""
        async with asyncio.timeout(20):
            while True:
                busy = [worker for worker in self.workers.values() if worker.worker and worker.worker.running]
                if len(busy) == 1:
                    return busy[0]
                await asyncio.sleep(0.01)


@pytest.fixture
async def bench(database: Database) -> AsyncIterator[Bench]:
    """Return two workers that run, and no owner yet."""
    bench = Bench(database, Diary())
    for name in ("w0", "w1"):
        bench.workers[name] = LocalWorker(registry, bench.diary)
        await bench.workers[name].start()
    yield bench
    bench.queue.close()
    for worker in bench.workers.values():
        await worker.die()


@pytest.mark.parametrize(
    ("how", "state", "attempts", "error"),
    [
        ("once", TaskState.SUCCEEDED, 1, None),
        ("always", TaskState.DEAD, 3, "failed 3 times, the last: ValueError('always')"),
        ("retry", TaskState.DEAD, 3, "failed 3 times, the last: not yet"),
        ("give up", TaskState.DEAD, 1, "never"),
    ],
)
async def test_failures_end_as_they_should(
    bench: Bench, how: str, state: TaskState, attempts: int, error: str | None
) -> None:
    """Again as the policy says, and dead with the reason when it is over."""
    async with bench.owned():
        task = failing.new(how, id=new_id())
        await bench.queue.submit(task)
        view = await bench.until(task)
        assert (view.state, view.attempts, view.error) == (state, attempts, error)


async def test_too_long_and_wrong_arguments_are_failures(bench: Bench) -> None:
    """The text says what was wrong."""
    async with bench.owned():
        late, wrong = slow.new(None, id=new_id()), failing.new("x", id=new_id())._replace(arguments="[1]")
        await bench.queue.submit(late)
        await bench.queue.submit(wrong)
        view = await bench.until(late)
        assert view.error == "failed 3 times, the last: it took longer than 0.05 s"
        view = await bench.until(wrong)
        assert (view.state, view.attempts) == (TaskState.DEAD, 1)
        assert view.error is not None
        assert "valid string" in view.error


async def test_a_dead_worker_s_task_runs_again_elsewhere(bench: Bench) -> None:
    """At once, and counted."""
    async with bench.owned():
        task = held.new(None, id=new_id())
        await bench.queue.submit(task)
        await bench.until_runs(1)
        victim = await bench.busy_worker()
        await victim.die()
        await bench.until_runs(2)
        bench.diary.gate.set()
        view = await bench.until(task)
        assert (view.state, view.orphaned) == (TaskState.SUCCEEDED, 1)
        await victim.start()


async def test_a_connection_that_breaks_ends_nothing(bench: Bench) -> None:
    """The worker is asked, and goes on."""
    async with bench.owned():
        task = held.new(None, id=new_id())
        await bench.queue.submit(task)
        await bench.until_runs(1)
        for worker in bench.workers.values():
            worker.disconnect()
        view = await bench.until(task, lambda view: view.progress is not None)
        assert view.progress == '{"done": 1, "total": 2, "text": "half"}'
        bench.diary.gate.set()
        assert (await bench.until(task)).orphaned == 0
        assert len(bench.diary.runs) == 1


async def test_a_new_owner_takes_over_what_runs_and_the_former_ends(bench: Bench) -> None:
    """The former one's writes are refused. The run is adopted, or interrupted by the former one; it is not orphaned."""
    former = asyncio.ensure_future(bench.owner().run())
    task = held.new(None, id=new_id())
    await bench.queue.submit(task)
    await bench.until_runs(1)
    async with bench.owned():
        with pytest.raises(NotOwner):
            await asyncio.wait_for(former, 20)
        bench.diary.gate.set()
        view = await bench.until(task)
        assert (view.state, view.attempts, view.orphaned) == (TaskState.SUCCEEDED, 0, 0)


async def test_running_and_waiting_tasks_are_cancelled(bench: Bench) -> None:
    """One that runs, one behind it in its lane, and one that is not due for a day."""
    async with bench.owned() as owner:
        runs, waits = (held.new(None, id=new_id(), lane="l") for _ in range(2))
        far = held.new(None, id=new_id(), run_at=datetime.fromisoformat("2100-01-01T00:00:00+00:00"))
        for task in (runs, waits, far):
            await bench.queue.submit(task)
        await bench.until_runs(1)
        for task in (far, waits, runs):
            owner.cancel(task.id)
        for task in (runs, waits, far):
            assert (await bench.until(task)).state is TaskState.CANCELLED
        assert len(bench.diary.runs) == 1


async def test_schedules_fire_over_restarts(bench: Bench) -> None:
    """Each time at most once, in order, under one owner and the next."""
    for _ in range(2):
        async with bench.owned():
            before = len(bench.diary.times)
            async with asyncio.timeout(20):
                while len(bench.diary.times) < before + 3:
                    await asyncio.sleep(0.01)
    assert bench.diary.times == sorted(set(bench.diary.times))
