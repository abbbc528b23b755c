"""A task: a named function that is to be run with some arguments, at least once, whatever dies meanwhile."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple
from uuid import UUID


class Priority(IntEnum):
    """What goes first. One that waits rises (see `ReadyQueue`), so none waits for ever."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class TaskState(StrEnum):
    """Where a task stands. All but the first are final, until an operator has a dead one run again."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    """It failed as often as it may, or killed its workers; the dead letters."""
    CANCELLED = "cancelled"


class NewTask(NamedTuple):
    """A task as it is enqueued: the columns that an insert gives.

    ``owner`` is for whom it runs, such as a merchant: owners share workers fairly. Tasks of one ``lane`` start in the
    order in which they became known, at most as many at once as their definition's lane width. Of those that share a
    name and a ``unique_key`` one is pending at a time. ``arguments`` is JSON; ``run_at`` None means at once.
    ``trace`` is the span that enqueued it, as W3C's `traceparent`, where that was recorded.
    """

    id: UUID
    name: str
    owner: str
    lane: str | None
    unique_key: str | None
    priority: int
    arguments: str
    run_at: datetime | None
    trace: str | None = None


class Task(NamedTuple):
    """A pending task as its scheduler and a worker hold it. Times are seconds since 1970.

    ``attempts`` counts the runs that ended in a failure, ``orphaned`` those whose worker was lost.
    """

    id: UUID
    name: str
    owner: str
    lane: str | None
    priority: int
    arguments: str
    run_at: float
    attempts: int
    orphaned: int
    trace: str | None = None
