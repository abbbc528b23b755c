"""Tasks for tests."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from actors.scheduler.effects import Dispatch, Write
from actors.scheduler.lifecycle import Conclusion
from actors.scheduler.task import NewTask, Priority, Task, TaskState
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


def pending(task: NewTask, *, attempts: int = 0, orphaned: int = 0, run_at: float = 0.0) -> Task:
    """Return a stored task as its scheduler holds it."""
    return Task(task.id, task.name, task.owner, task.lane, task.priority, task.arguments, run_at, attempts, orphaned)


def ended(
    task: NewTask,
    state: TaskState = TaskState.SUCCEEDED,
    *,
    attempts: int = 0,
    orphaned: int = 0,
    error: str | None = None,
    run_at: float = 0.0,
) -> Conclusion:
    """Return what became of a task."""
    return Conclusion(pending(task, attempts=attempts, orphaned=orphaned, run_at=run_at), state, error)


def dispatched(worker: str, incarnation: str, *tasks: NewTask) -> Dispatch:
    """Return tasks on their way to a worker."""
    return Dispatch(new_id(), worker, incarnation, tuple(map(pending, tasks)))


def write(*conclusions: Conclusion, dispatches: tuple[Dispatch, ...] = (), cancels: tuple[UUID, ...] = ()) -> Write:
    """Return what a scheduler writes at once."""
    return Write(conclusions, cancels, dispatches)
