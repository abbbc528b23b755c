"""The queue as PostgreSQL keeps it, as its owner uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from actors.pool.database import Database
from actors.pool.statements import load_statements
from actors.scheduler.cron import Firing
from actors.scheduler.effects import Dispatch, Fetch, Write
from actors.scheduler.task import Task, TaskState

QUEUE = "tasks"
ERROR_LENGTH_MAX = 2000
PLANNER_SETTINGS: Mapping[str, str] = {
    # Every statement here goes by an index. A plan that was made while the table was small, and reads all of it, would
    # be kept while the table grows; and to plan anew for each of ten partitions costs more than to run.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
STATEMENT_TIMEOUT_S = 30.0
_WAIT_FOR_CONNECTION_S = 5.0


class NotOwner(Exception):
    """Another scheduler has taken the queue; nothing was written."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch

    def __str__(self) -> str:
        return f"the epoch {self.epoch} of the queue is over"


class Ownership(NamedTuple):
    """What a new owner has: its epoch, and the id from which on the dispatches of former owners matter."""

    epoch: int
    checkpoint: UUID


class Discovered(NamedTuple):
    """Tasks that a snapshot showed first. ``overflowed``: there were more, which only `fetch` finds."""

    snapshot: str
    tasks: list[Task]
    overflowed: bool


class CronTask(NamedTuple):
    """A task that a schedule fires."""

    arguments: str
    run_at: datetime


class TaskStore:
    """Statements of the owner of a queue. They raise what ``Database`` says, and may all be repeated.

    What writes raises ``NotOwner`` where the epoch is over.
    """

    def __init__(self, database: Database, queue: str = QUEUE) -> None:
        self._database = database
        self._queue = queue
        self._sql = load_statements("actors.scheduler")

    async def take(self) -> Ownership:
        """Become the owner: from now on nothing is written under an earlier epoch."""
        return Ownership(*(await self._write("take_queue", self._queue))[0])

    async def silent_s(self) -> float | None:
        """Return for how long the owner has not been heard of, None where the queue never had one."""
        rows = await self._read("silence", self._queue)
        return float(rows[0][0]) if rows else None

    async def snapshot(self) -> str:
        """Return what is visible now: what is not, `discover` returns."""
        return str((await self._read("snapshot"))[0][0])

    async def discover(self, before: str, limit: int) -> Discovered:
        """Return the pending tasks that became visible since a snapshot, in the order of time and id."""
        rows = await self._read("discover", before, limit + 1)
        snapshot: str = rows[0][0]
        if rows[0][1] is None:
            return Discovered(snapshot, [], False)
        return Discovered(snapshot, [Task(*row[1:]) for row in map(tuple, rows[:limit])], len(rows) > limit)

    async def fetch(self, fetch: Fetch) -> list[Task]:
        """Return the pending tasks that are asked for."""
        after_at, after_id = fetch.after
        rows = await self._read("fetch", fetch.priority, after_at, after_id, fetch.until, fetch.limit)
        return [Task(*row) for row in rows]

    async def heads(self, limit: int) -> list[Task]:
        """Return the pending tasks with a lane that failed or were orphaned, in the order of their ids."""
        return [Task(*row) for row in await self._read("heads", limit)]

    async def write(self, epoch: int, write: Write) -> None:
        """Record what became of tasks and which go to workers now: all of it or, where it raises, nothing known."""
        ended = [
            (
                task.id,
                state.value,
                task.attempts,
                task.orphaned,
                None if error is None else storable(error),
                task.run_at if state is TaskState.PENDING else None,
            )
            for task, state, error in write.conclusions
        ]
        await self._owned("record", epoch, *_columns(ended, 6), list(write.cancels), *_dispatched(write.dispatches))

    async def checkpoint(self, epoch: int, still_open: Sequence[Dispatch]) -> None:
        """Repeat the dispatches that are open, all of them, and show that the owner lives."""
        await self._owned("checkpoint", epoch, *_dispatched(still_open))

    async def open_dispatches(self, ownership: Ownership) -> list[Dispatch]:
        """Return what former owners gave to workers and is not known to have ended, each task once."""
        found: dict[tuple[UUID, str, str], list[Task]] = {}
        for row in map(tuple, await self._read("open_dispatches", *ownership)):
            found.setdefault(row[:3], []).append(Task(*row[3:]))
        return [Dispatch(*whose, tuple(tasks)) for whose, tasks in found.items()]

    async def progress(self, epoch: int, told: Mapping[UUID, str]) -> None:
        """Store how far running tasks are; where the epoch is over, nothing is."""
        await self._write("progress", self._queue, epoch, list(told), list(told.values()))

    async def begin_crons(self, names: Sequence[str]) -> dict[str, datetime]:
        """Have schedules begin that are new; return when each was last due."""
        return {row[0]: row[1] for row in await self._write("begin_crons", list(names))}

    async def fire(
        self, epoch: int, firing: Firing, priority: int, tasks: Sequence[CronTask], unique_key: str | None = None
    ) -> bool:
        """Enqueue what a schedule is due for; False where it does not stand any more where the firing says.

        With a unique key nothing is enqueued while one that it fired before is pending.
        """
        arguments, run_at = _columns(tasks, 2)
        row = await self._owned(
            "fire", epoch, firing.name, firing.former_at, firing.last_at, priority, arguments, run_at, unique_key
        )
        return bool(row["moved"])

    async def _owned(self, name: str, epoch: int, *arguments: Any) -> Any:
        row = (await self._write(name, self._queue, epoch, *arguments))[0]
        if not row["owned"]:
            raise NotOwner(epoch)
        return row

    async def _read(self, name: str, *arguments: Any) -> list[Any]:
        return await self._database.fetch(self._sql[name], *arguments, timeout_s=STATEMENT_TIMEOUT_S)

    async def _write(self, name: str, *arguments: Any) -> list[Any]:
        async with self._database.pool.acquire(_WAIT_FOR_CONNECTION_S, name) as connection:
            rows: list[Any] = await connection.fetch(self._sql[name], *arguments, timeout=STATEMENT_TIMEOUT_S)
            return rows


def storable(text: str) -> str:
    """Return text as the database takes it: without zero bytes and lone surrogates, and no longer than is kept."""
    return text[:ERROR_LENGTH_MAX].replace("\0", "").encode(errors="replace").decode()


def _dispatched(dispatches: Sequence[Dispatch]) -> Sequence[Sequence[Any]]:
    rows = [
        (each.id, each.worker, each.incarnation, task.id, task.attempts + task.orphaned)
        for each in dispatches
        for task in each.tasks
    ]
    return _columns(rows, 5)


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [[] for _ in range(count)]
