"""Tasks as whoever enqueues or looks at them uses the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from actors.pool.connector import Connection
from actors.pool.database import Database
from actors.pool.statement import BatchStatement
from actors.pool.statements import load_statements
from actors.scheduler.task import NewTask, TaskState
from actors.scheduler.views import TaskView

LAST_ID = UUID(int=(1 << 128) - 1)
PAGE_MAX = 100


def enqueue_statement() -> BatchStatement[NewTask, bool]:
    """Return the statement that stores tasks, for group commit. Its result: whether the task is stored."""
    return BatchStatement(
        name="enqueue_tasks",
        sql=load_statements("actors.scheduler")["enqueue"],
        result=lambda row: bool(row["stored"]),
        key=None,
    )


async def enqueue(connection: Connection, tasks: Iterable[NewTask]) -> list[bool]:
    """Store tasks on a connection, in the transaction that is open there, if one is.

    Return for each whether it is stored: one with a unique key is not where another of that name and key is pending.
    """
    rows = list(tasks)
    if not rows:
        return []
    found = await connection.fetch(load_statements("actors.scheduler")["enqueue"], *zip(*rows, strict=True))
    stored = [False] * len(rows)
    for row in found:
        stored[row["ordinal"] - 1] = row["stored"]
    return stored


class Rows(Protocol):
    """Reads rows that may lack the last seconds: from the database, or from replicas of it."""

    async def fetch(self, sql: str, *args: Any) -> Sequence[Any]:
        """Return the rows."""
        ...


class TaskTable:
    """Reads tasks. Raises what ``Database`` says."""

    def __init__(self, database: Database, pages: Rows | None = None) -> None:
        """``pages``: where pages are read, if not from the database itself."""
        self._database = database
        self._pages: Rows = pages or database
        self._sql = load_statements("actors.scheduler")

    async def find(self, task_id: UUID) -> TaskView | None:
        """Return a task, None where there is none or its day was dropped."""
        row = await self._database.fetchrow(self._sql["find_task"], task_id)
        return None if row is None else TaskView.of(tuple(row))

    async def page(
        self, *, state: TaskState | None = None, name: str | None = None, before: UUID = LAST_ID, limit: int = PAGE_MAX
    ) -> list[TaskView]:
        """Return tasks, the newest first, from the one before ``before`` on.

        By state or unconditionally it goes by an index; a rare name among what has succeeded can take until the
        deadline.
        """
        if state is TaskState.PENDING:
            return self._views(await self._pages.fetch(self._sql["list_pending"], before, name, limit))
        if state is TaskState.DEAD:
            return self._views(await self._pages.fetch(self._sql["list_dead"], before, name, limit))
        return self._views(await self._pages.fetch(self._sql["list_tasks"], before, name, state, limit))

    async def redrive(self, task_ids: Sequence[UUID]) -> set[UUID]:
        """Have dead tasks run again as if they were new; return those that will.

        Others are not dead, or another task with their unique key is pending. Safe to repeat.
        """
        async with self._database.pool.acquire(5.0, "redrive") as connection:
            rows: Sequence[Any] = await connection.fetch(self._sql["redrive"], list(task_ids))
        return {row[0] for row in rows}

    @staticmethod
    def _views(rows: Sequence[Any]) -> list[TaskView]:
        return [TaskView.of(tuple(row)) for row in rows]
