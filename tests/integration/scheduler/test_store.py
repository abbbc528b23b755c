"""What the owner of the queue reads and writes, on a real PostgreSQL."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from actors.pool.database import Database
from actors.scheduler.cron import Firing
from actors.scheduler.effects import Fetch, Position
from actors.scheduler.lifecycle import Conclusion
from actors.scheduler.store import CronTask, NotOwner, TaskStore
from actors.scheduler.table import TaskTable, enqueue
from actors.scheduler.task import NewTask, Priority, TaskState
from serve_app.domain.ids import new_id
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.tasks import dispatched, ended, new_task, write


async def _stored(database: Database, *tasks: NewTask) -> list[bool]:
    async with database.transaction() as connection:
        return await enqueue(connection, tasks)


_FIRST: Position = (float("-inf"), UUID(int=0))


def _fetch(priority: Priority, limit: int, after: Position = _FIRST) -> Fetch:
    return Fetch(1, priority, after, (datetime.now(UTC) + timedelta(hours=1)).timestamp(), limit)


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
    """The answer says that there was more; fetch pages through all of a priority that is due, by time and id."""
    before = await store.snapshot()
    low = [new_task(priority=Priority.LOW) for _ in range(5)]
    await _stored(database, *low, new_task(priority=Priority.HIGH))
    found = await store.discover(before, 3)
    assert (len(found.tasks), found.overflowed) == (3, True)
    later = new_task(priority=Priority.LOW, run_at=datetime.now(UTC) + timedelta(hours=2))
    await _stored(database, later)
    first = await store.fetch(_fetch(Priority.LOW, 3))
    rest = await store.fetch(_fetch(Priority.LOW, 3, (first[-1].run_at, first[-1].id)))
    assert [task.id for task in first + rest] == sorted(task.id for task in low)


async def test_of_tasks_with_a_unique_key_one_is_pending(database: Database, store: TaskStore) -> None:
    """Another of that name and key is not stored until the first has ended; one of another name is."""
    one, two = new_task(unique_key="k"), new_task(unique_key="k")
    assert await _stored(database, one, two, new_task("other", unique_key="k")) == [True, False, True]
    assert await _stored(database, two) == [False]
    owner = await store.take()
    await store.write(owner.epoch, write(ended(one, TaskState.PENDING, attempts=1, error="again")))
    assert await _stored(database, two) == [False]
    await store.write(owner.epoch, write(ended(one)))
    assert await _stored(database, two) == [True]


async def test_to_enqueue_twice_stores_once(database: Database, store: TaskStore, admin: asyncpg.Connection) -> None:
    """A batch whose commit was lost on the wire runs again: the answer is the same, and nothing is left over."""
    tasks = [new_task(), new_task(unique_key="k")]
    assert await _stored(database, *tasks) == [True, True]
    assert await _stored(database, *tasks) == [True, True]
    owner = await store.take()
    await store.write(owner.epoch, write(*map(ended, tasks)))
    assert await _stored(database, *tasks) == [True, True]
    assert await admin.fetchval("SELECT count(*) FROM tasks") == 2
    assert await admin.fetchval("SELECT count(*) FROM task_uniques") == 0


async def test_a_task_rolled_back_was_never_there(database: Database, store: TaskStore) -> None:
    """Enqueued in the caller's own transaction, it shares its fate, its unique key too."""
    before, task = await store.snapshot(), new_task(unique_key="k")
    with suppress(ZeroDivisionError):
        async with database.transaction() as connection:
            assert await enqueue(connection, [task]) == [True]
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
        await store.write(former.epoch, write(ended(task), dispatches=(dispatched("w0", "a", task),)))
    with pytest.raises(NotOwner):
        await store.checkpoint(former.epoch, [dispatched("w0", "a", task)])
    with pytest.raises(NotOwner):
        await store.fire(former.epoch, Firing("nightly", started, now, (now,)), 2, [])
    await store.progress(former.epoch, {task.id: "{}"})
    view = await TaskTable(database).find(task.id)
    assert view is not None
    assert (view.state, view.progress) == (TaskState.PENDING, None)
    assert await store.open_dispatches(owner) == []
    await store.write(owner.epoch, write(ended(task)))


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
    one = dispatched("w0", "a", done, failed, kept, moved)
    await store.write(first.epoch, write(dispatches=(one,)))
    again = ended(failed, TaskState.PENDING, attempts=1, error="no")
    await store.write(first.epoch, write(ended(done), again))
    second = await store.take()
    (found,) = await store.open_dispatches(second)
    assert {task.id for task in found.tasks} == {kept.id, moved.id}
    two = dispatched("w1", "b", moved)
    await store.write(second.epoch, write(dispatches=(two,)))
    third = await store.take()
    found_now = {each[:3]: [task.id for task in each.tasks] for each in await store.open_dispatches(third)}
    assert found_now == {one[:3]: [kept.id], two[:3]: [moved.id]}
    await store.write(third.epoch, write(ended(kept, TaskState.PENDING, orphaned=1, error="lost")))
    (left,) = await store.open_dispatches(await store.take())
    assert [task.id for task in left.tasks] == [moved.id]


async def test_a_checkpoint_repeats_what_is_open(
    database: Database, store: TaskStore, admin: asyncpg.Connection
) -> None:
    """The next owner looks at nothing before it, and misses nothing."""
    old, new = new_task(), new_task()
    await _stored(database, old, new)
    owner = await store.take()
    of_old = dispatched("w0", "a", old)
    await store.write(owner.epoch, write(dispatches=(of_old,)))
    await admin.execute("UPDATE task_dispatches SET id = first_uuid7_at(now() - interval '1 hour')")
    await store.checkpoint(owner.epoch, [of_old])
    await store.write(owner.epoch, write(dispatches=(dispatched("w1", "b", new),)))
    later = await store.take()
    assert later.checkpoint > (await admin.fetchval("SELECT id FROM task_dispatches ORDER BY id LIMIT 1"))
    found = await store.open_dispatches(later)
    assert {task.id for each in found for task in each.tasks} == {old.id, new.id}
    assert {each.id for each in found} > {of_old.id}
    silent_s = await store.silent_s()
    assert silent_s is not None
    assert 0 <= silent_s < 5


async def test_a_schedule_fires_each_time_once(store: TaskStore) -> None:
    """Who believes that it stands elsewhere, because another has fired it, enqueues nothing."""
    owner = await store.take()
    began = (await store.begin_crons(["nightly", "hourly"]))["nightly"]
    assert (await store.begin_crons(["nightly"])) == {"nightly": began}
    due = began + timedelta(hours=1)
    before, firing = await store.snapshot(), Firing("nightly", began, due, (began, due))
    tasks = [CronTask("1", began), CronTask("2", due)]
    assert await store.fire(owner.epoch, firing, 1, tasks)
    assert not await store.fire(owner.epoch, firing, 1, tasks)
    found = (await store.discover(before, 10)).tasks
    assert [(task.name, task.arguments, task.priority) for task in found] == [("nightly", "1", 1), ("nightly", "2", 1)]
    assert (await store.begin_crons(["nightly"])) == {"nightly": due}


async def test_a_schedule_with_a_unique_key_has_one_task_pending(store: TaskStore) -> None:
    """It moves on all the same, and fires again once that one has ended."""
    owner = await store.take()
    at = (await store.begin_crons(["often"]))["often"]
    before, seen = await store.snapshot(), []
    for second in range(3):
        now = at + timedelta(seconds=1)
        assert await store.fire(owner.epoch, Firing("often", at, now, (now,)), 2, [CronTask("null", now)], "schedule")
        found = await store.discover(before, 10)
        at, before = now, found.snapshot
        seen.append(len(found.tasks))
        if second == 1:
            (running,) = await store.fetch(_fetch(Priority.NORMAL, 10))
            await store.write(owner.epoch, write(Conclusion(running, TaskState.SUCCEEDED, None)))
    assert seen == [1, 0, 1]


async def test_what_the_scheduler_does_not_hold_is_cancelled_too(
    database: Database, store: TaskStore, admin: asyncpg.Connection
) -> None:
    """Its unique key is free again, and the reason is kept."""
    task = new_task(unique_key="k")
    await _stored(database, task)
    owner = await store.take()
    await store.write(owner.epoch, write(cancels=(task.id,)))
    view = await TaskTable(database).find(task.id)
    assert view is not None
    assert (view.state, view.error) == (TaskState.CANCELLED, "cancelled before it ran")
    assert view.finished_at is not None
    assert await admin.fetchval("SELECT count(*) FROM task_uniques") == 0


async def test_heads_are_what_ran_before_and_has_a_lane(database: Database, store: TaskStore) -> None:
    """Their lanes may have to wait for them."""
    head, laneless, fresh = new_task(lane="a"), new_task(), new_task(lane="a")
    await _stored(database, head, laneless, fresh)
    owner = await store.take()
    failed = [ended(task, TaskState.PENDING, attempts=1, error="no") for task in (head, laneless)]
    await store.write(owner.epoch, write(*failed))
    (found,) = await store.heads(10)
    assert (found.id, found.lane, found.attempts) == (head.id, "a", 1)


async def test_a_dead_task_runs_again_as_if_it_were_new(database: Database, store: TaskStore) -> None:
    """It is discovered again; one whose unique key another has by now stays dead, and so does what is not dead."""
    dead, unique, done = new_task(), new_task(unique_key="k"), new_task()
    await _stored(database, dead, unique, done)
    owner, table = await store.take(), TaskTable(database)
    records = [ended(each, TaskState.DEAD, attempts=3, orphaned=1, error="why\0\ud800") for each in (dead, unique)]
    await store.write(owner.epoch, write(*records, ended(done)))
    assert [view.id for view in await table.page(state=TaskState.DEAD)] == sorted([dead.id, unique.id], reverse=True)
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
    await store.write(owner.epoch, write(*map(ended, tasks[:4])))
    await store.progress(owner.epoch, {tasks[8].id: '{"done":1}'})
    table = TaskTable(database)
    newest = sorted((task.id for task in tasks), reverse=True)
    first = await table.page(limit=4)
    assert [view.id for view in first + await table.page(before=first[-1].id)] == newest
    pending = await table.page(state=TaskState.PENDING, limit=3)
    pending += await table.page(state=TaskState.PENDING, before=pending[-1].id)
    assert {view.id for view in pending} == {task.id for task in tasks[4:]}
    assert next(view.progress for view in pending if view.id == tasks[8].id) == '{"done":1}'
    named = await table.page(name="a", state=TaskState.SUCCEEDED)
    assert {view.id for view in named} == {tasks[1].id, tasks[3].id}
    assert await table.find(new_id()) is None
