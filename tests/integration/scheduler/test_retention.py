"""Days of tasks are made ahead and dropped whole, by a role that may do neither itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from actors.pool.database import Database
from actors.runtime.errors import RowRejected, Unavailable
from actors.scheduler.effects import Fetch
from actors.scheduler.store import TaskStore
from actors.scheduler.table import TaskTable, enqueue
from actors.scheduler.task import NewTask, TaskState
from serve_app.domain.ids import first_id_at, new_id
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.tasks import ended, new_task, write

_PARTITIONS = """
    SELECT part.relname FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
    WHERE inhparent = 'tasks'::regclass ORDER BY 1
"""


def _today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _id_of(moment: datetime) -> UUID:
    return UUID(int=first_id_at(moment).int | new_id().int & ((1 << 62) - 1))


async def _old_day(admin: asyncpg.Connection, days_ago: int) -> str:
    """Make the partition of a day of the past, as it was made then."""
    day = _today() - timedelta(days=days_ago)
    name = f"tasks_{day:%Y%m%d}"
    await admin.execute(
        f"CREATE TABLE {name} PARTITION OF tasks "
        f"FOR VALUES FROM ('{first_id_of(day)}') TO ('{first_id_of(day + timedelta(days=1))}')"
    )
    return name


def first_id_of(day: datetime) -> UUID:
    """Return the bound of a partition: unlike an id it has no version."""
    return UUID(int=int(day.timestamp() * 1000) << 80)


async def _make_days(database: Database, ahead: int) -> int:
    """Make the partitions of today and the days ahead; return how many there were not."""
    return int((await database.fetch("SELECT make_task_days($1)", ahead))[0][0])


async def _drop_day(database: Database, retention_days: int) -> str | None:
    """Drop the oldest day past its retention and return its name, None where there is none."""
    dropped: str | None = (await database.fetch("SELECT drop_task_day($1)", retention_days))[0][0]
    return dropped


async def _store_all(database: Database, *tasks: NewTask) -> None:
    async with database.transaction() as connection:
        await enqueue(connection, tasks)


async def _where(admin: asyncpg.Connection) -> dict[UUID, str]:
    return {row[0]: row[1] for row in await admin.fetch("SELECT id, tableoid::regclass::text FROM tasks")}


async def test_days_are_made_ahead(database: Database, admin: asyncpg.Connection) -> None:
    """Each once; a task goes to the day of its id, and one of a day that there is none of to the default."""
    await _make_days(database, 5)
    assert await _make_days(database, 5) == 0
    names = {row[0] for row in await admin.fetch(_PARTITIONS)}
    assert {f"tasks_{_today() + timedelta(days=ahead):%Y%m%d}" for ahead in range(6)} < names
    now, tomorrow, far = (new_task(id=_id_of(_today() + timedelta(days=ahead, hours=1))) for ahead in (0, 1, 20))
    await _store_all(database, now, tomorrow, far)
    where = await _where(admin)
    assert where[now.id] == f"tasks_{_today():%Y%m%d}"
    assert where[tomorrow.id] == f"tasks_{_today() + timedelta(days=1):%Y%m%d}"
    assert where[far.id] == "tasks_default"


async def test_a_day_takes_its_tasks_from_the_default(
    database: Database, store: TaskStore, admin: asyncpg.Connection
) -> None:
    """They came there because the clock of who made their ids was ahead."""
    early, owner = new_task(id=_id_of(_today() + timedelta(days=8, hours=1))), await store.take()
    await _store_all(database, early)
    assert (await _where(admin))[early.id] == "tasks_default"
    await _make_days(database, 8)
    assert (await _where(admin))[early.id] == f"tasks_{_today() + timedelta(days=8):%Y%m%d}"
    await store.write(owner.epoch, write(ended(early)))


async def test_what_is_pending_or_dead_outlives_its_day(
    database: Database, store: TaskStore, admin: asyncpg.Connection
) -> None:
    """What has ended goes with it, the oldest day first, and days within the retention stay."""
    older, old, kept = [await _old_day(admin, days) for days in (12, 9, 7)]
    pending, dead, done, cancelled = (new_task(id=_id_of(_today() - timedelta(days=9, hours=-1))) for _ in range(4))
    ancient, recent = (new_task(id=_id_of(_today() - timedelta(days=days, hours=-1))) for days in (12, 7))
    await _store_all(database, pending, dead, done, cancelled, ancient, recent)
    assert (await _where(admin))[done.id] == old
    owner = await store.take()
    states = {dead: TaskState.DEAD, done: TaskState.SUCCEEDED, cancelled: TaskState.CANCELLED}
    records = [ended(task, state) for task, state in states.items()]
    await store.write(owner.epoch, write(*records, ended(ancient), ended(recent)))
    assert [await _drop_day(database, 7) for _ in range(3)] == [older, old, None]
    assert await _where(admin) == {pending.id: "tasks_default", dead.id: "tasks_default", recent.id: kept}
    page = Fetch(1, 2, (float("-inf"), UUID(int=0)), datetime.now(UTC).timestamp() + 60, 10)
    assert [task.id for task in await store.fetch(page)] == [pending.id]
    assert await TaskTable(database).redrive([dead.id]) == {dead.id}
    # Where it has ended at last it goes after the retention, counted from its end.
    await store.write(owner.epoch, write(ended(pending)))
    assert await _drop_day(database, 7) is None
    await admin.execute("UPDATE tasks SET finished_at = now() - interval '9 days' WHERE id = $1", pending.id)
    assert await _drop_day(database, 7) is None
    assert set(await _where(admin)) == {dead.id, recent.id}
    await admin.execute(f"DROP TABLE {kept}")


async def test_a_long_reader_is_not_waited_for(
    database: Database, admin: asyncpg.Connection, postgres: TestPostgres
) -> None:
    """Dropping a day gives up within moments, so that nobody queues behind it, and does it another time."""
    name = await _old_day(admin, 20)
    reader = await asyncpg.connect(postgres.url(APP_ROLE))
    async with reader.transaction(isolation="repeatable_read"):
        await reader.fetch("SELECT count(*) FROM tasks")
        with pytest.raises(Unavailable):
            await _drop_day(database, 7)
    await reader.close()
    assert await _drop_day(database, 7) == name


async def test_the_gateway_s_role_makes_and_drops_only_so(database: Database, postgres: TestPostgres) -> None:
    """It may not touch the tables themselves, and the functions refuse what makes no sense."""
    connection = await asyncpg.connect(postgres.url(APP_ROLE))
    for statement in ("DROP TABLE tasks_default", "ALTER TABLE tasks DETACH PARTITION tasks_default"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()
    for refused in (_make_days(database, 100), _drop_day(database, 0)):
        with pytest.raises(RowRejected):
            await refused
