"""Tasks for tests."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from actors.scheduler.task import NewTask, Priority
from serve_app.domain.ids import new_id


def new_task(
    name: str = "noop",
    *,
    id: UUID | None = None,
    owner: str = "",
    lane: str | None = None,
    unique_key: str | None = None,
    priority: Priority = Priority.NORMAL,
    arguments: str = "null",
    run_at: datetime | None = None,
) -> NewTask:
    """Return a task that nobody has stored yet."""
    return NewTask(id or new_id(), name, owner, lane, unique_key, int(priority), arguments, run_at)
