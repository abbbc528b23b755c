"""What goes into the scheduler's core and what comes out, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from actors.scheduler.lifecycle import Conclusion, Outcome
from actors.scheduler.task import Task

Position = tuple[float, UUID]
"""Where a task stands in the table's order: ``run_at``, then id."""


class RunRef(NamedTuple):
    """One run of a task: two runs of one task have two dispatches."""

    task_id: UUID
    dispatch_id: UUID


class RunEnd(NamedTuple):
    """How a run ended, as its worker tells it. ``after_s``: the pause that the function asked for."""

    run: RunRef
    outcome: Outcome
    error: str | None = None
    after_s: float | None = None


class Dispatch(NamedTuple):
    """Tasks for one life of one worker."""

    id: UUID
    worker: str
    incarnation: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """What has to be durable before anything else is written, in one transaction that holds only for the owner's epoch.

    Each value is absolute, so it is safe to repeat: rows are ``conclusions`` (state, attempts, orphaned, run_at, error;
    only where the task is pending), then ``cancels`` (tasks that the scheduler does not hold; only where pending),
    then ``dispatches``. No task is twice in the first two.
    """

    conclusions: tuple[Conclusion, ...]
    cancels: tuple[UUID, ...]
    dispatches: tuple[Dispatch, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read up to ``limit`` pending tasks of ``priority`` with ``after`` < (run_at, id) and run_at < ``until``, in this
    order. ``read`` is what `TaskScheduler.begin_read` returned for it."""

    read: int
    priority: int
    after: Position
    until: float
    limit: int


@dataclass(frozen=True, slots=True)
class Effects:
    """What the shell has to do, in this order; all of it may go on while the next events come in.

    ``write`` is given out only when the one before is done. ``sends`` go to workers over the connection they have,
    ``acks`` tell them which ends are durable or of no interest, ``cancels`` which runs to end. ``kills`` are lives of
    workers (name, incarnation) that are stuck or silent: end the process, then tell `worker_lost`.
    """

    write: Write | None
    sends: tuple[Dispatch, ...]
    acks: dict[str, list[RunRef]]
    cancels: dict[str, list[RunRef]]
    fetches: tuple[Fetch, ...]
    kills: tuple[tuple[str, str], ...]
