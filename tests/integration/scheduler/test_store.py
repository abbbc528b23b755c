"""What the owner of the queue reads and writes, on a real PostgreSQL."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from actors.pool.database import Database
from actors.scheduler.store import Dispatch, NotOwner, TaskRecord, TaskStore
from actors.scheduler.table import TaskTable, enqueue
from actors.scheduler.task import NewTask, Priority, TaskState
from serve_app.domain.ids import new_id
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.tasks import new_task

_FIRST = UUID(int=0)


async def _stored(database: Database, *tasks: NewTask) -> list[bool]:
    async with database.transaction() as connection:
        return await enqueue(connection, tasks)


def _ended(task: NewTask, state: TaskState = TaskState.SUCCEEDED) -> TaskRecord:
    return TaskRecord(task.id, state, 0, 0)


async def test_a_task_is_discovered_once(database: Database, store: TaskStore) -> None:
    """As it was stored, by the first statement after its commit and by no later one."""
    before = await store.snapshot()
    task = new_task(owner="mer_1", lane="payments", priority=Priority.HIGH, arguments='{"a":1}')
    assert await _stored(database, task) == [True]
    found = await store.discover(before, 10)
    (seen,) = found.tasks
    assert (seen.id, seen.name, seen.owner, seen.lane) == (task.id, "noop", "mer_1", "payments")
    assert (seen.priority, seen.arguments, seen.attempts, seen.orphaned) == (Priority.HIGH, '{"a":1}', 0, 0)
    assert abs(seen.run_at - datetime.now(UTC).timestamp()) < 5
    assert not found.overflowed
    assert (await store.discover(found.snapshot, 10)).tasks == []


@pytest.mark.parametrize("seed", range(3))
async def test_ids_and_commits_that_interleave_hide_none(
    postgres: TestPostgres, admin: asyncpg.Connection, store: TaskStore, seed: int
) -> None:
    """Transactions that stay open while others commit, and roll back: each committed task is seen exactly once."""
    draw = random.Random(seed)
    connections = [await asyncpg.connect(postgres.url(APP_ROLE)) for _ in range(6)]
    snapshot, seen, committed = await store.snapshot(), [], set()
    open_now: dict[int, tuple[asyncpg.transaction.Transaction, list[UUID]]] = {}
    for _ in range(300):
        number = draw.randrange(len(connections))
        if number not in open_now:
            transaction = connections[number].transaction()
            await transaction.start()
            open_now[number] = (transaction, [])
        transaction, ids = open_now[number]
        match draw.randrange(5):
            case 0 | 1 | 2:
                # Ids of the past and of the future: no order of theirs is relied upon.
                task = new_task(id=UUID(int=new_id().int + draw.randrange(-(10**6), 10**6) * (1 << 80)))
                await enqueue(connections[number], [task])
                ids.append(task.id)
            case 3:
                await transaction.commit()
                committed |= set(ids)
                del open_now[number]
            case 4:
                await transaction.rollback()
                del open_now[number]
        if draw.random() < 0.5:
            found = await store.discover(snapshot, 10_000)
            snapshot = found.snapshot
            seen += [task.id for task in found.tasks]
    for transaction, ids in open_now.values():
        await transaction.commit()
        committed |= set(ids)
    seen += [task.id for task in (await store.discover(snapshot, 10_000)).tasks]
    for connection in connections:
        await connection.close()
    assert len(seen) == len(set(seen))
    assert set(seen) == committed
    assert await admin.fetchval("SELECT count(*) FROM tasks") == len(committed) > 50


async def test_what_is_more_than_was_asked_for_is_left_to_fetch(database: Database, store: TaskStore) -> None:
    """The answer says that there was more; fetch pages through all by priority and id."""
    before = await store.snapshot()
    low = [new_task(priority=Priority.LOW) for _ in range(5)]
    await _stored(database, *low, new_task(priority=Priority.HIGH))
    found = await store.discover(before, 3)
    assert (len(found.tasks), found.overflowed) == (3, True)
    first = await store.fetch(Priority.LOW, _FIRST, 3)
    rest = await store.fetch(Priority.LOW, first[-1].id, 3)
    assert [task.id for task in first + rest] == sorted(task.id for task in low)


async def test_of_tasks_with_a_unique_key_one_is_pending(database: Database, store: TaskStore) -> None:
    """Another of that name and key is not stored until the first has ended; one of another name is."""
    one, two = new_task(unique_key="k"), new_task(unique_key="k")
    assert await _stored(database, one, two, new_task("other", unique_key="k")) == [True, False, True]
    assert await _stored(database, two) == [False]
    owner = await store.take()
    await store.record(owner.epoch, [TaskRecord(one.id, TaskState.PENDING, 1, 0, "again", 0.0)], [])
    assert await _stored(database, two) == [False]
    await store.record(owner.epoch, [_ended(one)], [])
    assert await _stored(database, two) == [True]


async def test_to_enqueue_twice_stores_once(database: Database, store: TaskStore, admin: asyncpg.Connection) -> None:
    """A batch whose commit was lost on the wire runs again: the answer is the same, and nothing is left over."""
    tasks = [new_task(), new_task(unique_key="k")]
    assert await _stored(database, *tasks) == [True, True]
    assert await _stored(database, *tasks) == [True, True]
    owner = await store.take()
    await store.record(owner.epoch, [_ended(task) for task in tasks], [])
    assert await _stored(database, *tasks) == [True, True]
    assert await admin.fetchval("SELECT count(*) FROM tasks") == 2
    assert await admin.fetchval("SELECT count(*) FROM task_uniques") == 0


async def test_a_task_rolled_back_was_never_there(database: Database, store: TaskStore) -> None:
    """Enqueued in the caller's own transaction, it shares its fate, its unique key too."""
    before, task = await store.snapshot(), new_task(unique_key="k")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await enqueue(connection, [task])
            raise ZeroDivisionError
    assert (await store.discover(before, 10)).tasks == []
    assert await _stored(database, task) == [True]


async def test_a_former_owner_s_record_is_refused(database: Database, store: TaskStore) -> None:
    """Neither its completions nor its dispatches, checkpoints and schedules are written."""
    task = new_task()
    await _stored(database, task)
    former = await store.take()
    owner = await store.take()
    assert owner.epoch == former.epoch + 1
    now = datetime.now(UTC)
    started = (await store.begin_crons(["nightly"]))["nightly"]
    with pytest.raises(NotOwner):
        await store.record(former.epoch, [_ended(task)], [Dispatch("worker-0", "i", task.id, 0)])
    with pytest.raises(NotOwner):
        await store.checkpoint(former.epoch, [Dispatch("worker-0", "i", task.id, 0)])
    with pytest.raises(NotOwner):
        await store.fire(former.epoch, "nightly", started, now, 2, [])
    await store.progress(former.epoch, {task.id: "{}"})
    view = await TaskTable(database).find(task.id)
    assert view is not None
    assert (view.state, view.progress) == (TaskState.PENDING, None)
    assert await store.open_dispatches(owner) == []
    await store.record(owner.epoch, [_ended(task)], [])


async def test_a_takeover_waits_for_what_the_owner_writes(
    database: Database, store: TaskStore, admin: asyncpg.Connection, postgres: TestPostgres
) -> None:
    """A record whose transaction is open when another takes the queue is either seen by it or refused."""
    task = new_task()
    await _stored(database, task)
    owner = await store.take()
    async with admin.transaction():
        await admin.execute("SELECT FROM task_queue WHERE epoch = $1 FOR SHARE", owner.epoch)
        other = await asyncpg.connect(postgres.url(APP_ROLE))
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.execute("SET lock_timeout = '50ms'; UPDATE task_queue SET epoch = epoch + 1")
        await other.close()


async def test_open_dispatches_are_those_whose_end_nobody_recorded(database: Database, store: TaskStore) -> None:
    """Each with the last worker that had it. What ended, failed or was orphaned since is not open."""
    tasks = [new_task() for _ in range(5)]
    done, failed, kept, moved, _ = tasks
    await _stored(database, *tasks)
    first = await store.take()
    await store.record(first.epoch, [], [Dispatch("w0", "a", task.id, 0) for task in (done, failed, kept, moved)])
    await store.record(first.epoch, [_ended(done), TaskRecord(failed.id, TaskState.PENDING, 1, 0, "no", 0.0)], [])
    second = await store.take()
    assert {found.task.id for found in await store.open_dispatches(second)} == {kept.id, moved.id}
    await store.record(second.epoch, [], [Dispatch("w1", "b", moved.id, 0)])
    third = await store.take()
    found = {each.task.id: (each.worker, each.incarnation) for each in await store.open_dispatches(third)}
    assert found == {kept.id: ("w0", "a"), moved.id: ("w1", "b")}
    await store.record(third.epoch, [TaskRecord(kept.id, TaskState.PENDING, 0, 1, "orphaned", 0.0)], [])
    assert {each.task.id for each in await store.open_dispatches(await store.take())} == {moved.id}


async def test_a_checkpoint_repeats_what_is_open(
    database: Database, store: TaskStore, admin: asyncpg.Connection
) -> None:
    """The next owner looks at nothing before it, and misses nothing."""
    old, new = new_task(), new_task()
    await _stored(database, old, new)
    owner = await store.take()
    await store.record(owner.epoch, [], [Dispatch("w0", "a", old.id, 0)])
    await admin.execute("UPDATE task_dispatches SET id = first_uuid7_at(now() - interval '1 hour')")
    await store.checkpoint(owner.epoch, [Dispatch("w0", "a", old.id, 0)])
    await store.record(owner.epoch, [], [Dispatch("w1", "b", new.id, 0)])
    later = await store.take()
    assert later.checkpoint > (await admin.fetchval("SELECT id FROM task_dispatches ORDER BY id LIMIT 1"))
    assert {each.task.id for each in await store.open_dispatches(later)} == {old.id, new.id}
    silent_s = await store.silent_s()
    assert silent_s is not None
    assert 0 <= silent_s < 5


async def test_a_schedule_fires_each_time_once(database: Database, store: TaskStore) -> None:
    """Who believes that it stands elsewhere, because another has fired it, enqueues nothing."""
    owner = await store.take()
    began = (await store.begin_crons(["nightly", "hourly"]))["nightly"]
    assert (await store.begin_crons(["nightly"])) == {"nightly": began}
    due = began + timedelta(hours=1)
    before = await store.snapshot()
    assert await store.fire(owner.epoch, "nightly", began, due, 1, [("1", began), ("2", due)])
    assert not await store.fire(owner.epoch, "nightly", began, due, 1, [("1", began), ("2", due)])
    tasks = (await store.discover(before, 10)).tasks
    assert [(task.name, task.arguments, task.priority) for task in tasks] == [("nightly", "1", 1), ("nightly", "2", 1)]
    assert (await store.begin_crons(["nightly"])) == {"nightly": due}


async def test_a_dead_task_runs_again_as_if_it_were_new(database: Database, store: TaskStore) -> None:
    """It is discovered again; one whose unique key another has by now stays dead, and so does what is not dead."""
    dead, unique, done = new_task(), new_task(unique_key="k"), new_task()
    await _stored(database, dead, unique, done)
    owner, table = await store.take(), TaskTable(database)
    records = [TaskRecord(each.id, TaskState.DEAD, 3, 1, "why\0\ud800") for each in (dead, unique)]
    await store.record(owner.epoch, [*records, _ended(done)], [])
    assert [view.id for view in await table.list(state=TaskState.DEAD)] == sorted([dead.id, unique.id], reverse=True)
    view = await table.find(dead.id)
    assert view is not None
    assert (view.state, view.attempts, view.orphaned, view.error) == (TaskState.DEAD, 3, 1, "why?")
    await _stored(database, new_task(unique_key="k"))
    before = await store.snapshot()
    assert await table.redrive([dead.id, unique.id, done.id]) == {dead.id}
    (again,) = (await store.discover(before, 10)).tasks
    assert (again.id, again.attempts, again.orphaned) == (dead.id, 0, 0)


async def test_pages_go_from_the_newest_back(database: Database, store: TaskStore) -> None:
    """By state and by name, without gap or double between pages."""
    tasks = [new_task("a" if number % 2 else "b", priority=Priority(number % 4)) for number in range(9)]
    await _stored(database, *tasks)
    owner = await store.take()
    await store.record(owner.epoch, [_ended(task) for task in tasks[:4]], [])
    await store.progress(owner.epoch, {tasks[8].id: '{"done":1}'})
    table = TaskTable(database)
    newest = sorted((task.id for task in tasks), reverse=True)
    first = await table.list(limit=4)
    assert [view.id for view in first + await table.list(before=first[-1].id)] == newest
    pending = await table.list(state=TaskState.PENDING, limit=3)
    pending += await table.list(state=TaskState.PENDING, before=pending[-1].id)
    assert {view.id for view in pending} == {task.id for task in tasks[4:]}
    assert next(view.progress for view in pending if view.id == tasks[8].id) == '{"done":1}'
    named = await table.list(name="a", state=TaskState.SUCCEEDED)
    assert {view.id for view in named} == {tasks[1].id, tasks[3].id}
    assert await table.find(new_id()) is None
