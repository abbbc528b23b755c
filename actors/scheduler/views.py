"""A task as operators see it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from actors.scheduler.task import TaskState


class TaskView(NamedTuple):
    """The row of a task. ``error`` is that of its last failure; ``progress`` is what it told last, as JSON."""

    id: UUID
    name: str
    owner: str
    lane: str | None
    unique_key: str | None
    priority: int
    arguments: str
    run_at: datetime
    state: TaskState
    attempts: int
    orphaned: int
    error: str | None
    progress: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: tuple[object, ...]) -> TaskView:
        """Return the view of a row of the table."""
        view = cls(*row)  # type: ignore[arg-type]  # asyncpg ships no types
        return view._replace(state=TaskState(view.state))
