"""What becomes of a task when one of its runs has ended."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from actors.scheduler.retry import RetryPolicy
from actors.scheduler.task import Task, TaskState

SUSPECT_AFTER = 2
"""How many workers a task may lose beside others. Then it runs alone, so that none is condemned for its neighbour."""
ORPHANED_MAX = 5
"""How many workers a task may lose before it is dead: the last three while it ran alone, which is no chance any more.

With one, 50 kills at random condemned innocents.
"""
RETRY_AFTER_MAX_S = 7 * 86_400.0
ERROR_MAX = 2_000


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The function raised, or asked for another run."""
    GAVE_UP = "gave_up"
    """The function said that it can never succeed, or the arguments are not what it takes."""
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    ORPHANED = "orphaned"
    """Its process was lost. It may have done all of its work or none."""
    INTERRUPTED = "interrupted"
    """Its worker ended it in order to stop, or never began it: it runs again, and nothing is counted."""


class Conclusion(NamedTuple):
    """A task after a run. Where ``state`` is pending it runs again at ``task.run_at``; else it has ended.

    ``error`` says why, for all but a success; at most `ERROR_MAX` characters.
    """

    task: Task
    state: TaskState
    error: str | None


def is_suspect(task: Task) -> bool:
    """Say whether it is to run alone: it may be what kills its workers."""
    return task.orphaned >= SUSPECT_AFTER


def conclude(
    task: Task,
    outcome: Outcome,
    policy: RetryPolicy,
    now: float,
    *,
    drawn: float,
    error: str | None = None,
    after_s: float | None = None,
    cancel_asked: bool = False,
) -> Conclusion:
    """Return what becomes of a task. A function of its arguments.

    A failure and a timeout count as an attempt and are retried as the policy says; ``after_s`` replaces its pause, not
    its bound. ``drawn`` is a number drawn evenly from [0, 1). What was orphaned or interrupted keeps its age, and so
    runs again at once. A task that was asked to be cancelled does not run again.
    """
    if outcome is Outcome.SUCCEEDED:
        return Conclusion(task, TaskState.SUCCEEDED, None)
    reason = _reason(outcome, error)
    if cancel_asked or outcome is Outcome.CANCELLED:
        return Conclusion(_counted(task, outcome), TaskState.CANCELLED, reason)
    after = _counted(task, outcome)
    if outcome is Outcome.ORPHANED and after.orphaned >= ORPHANED_MAX:
        return Conclusion(after, TaskState.DEAD, f"its worker was lost {after.orphaned} times while it ran")
    if outcome in (Outcome.INTERRUPTED, Outcome.ORPHANED):
        return Conclusion(after, TaskState.PENDING, reason)
    if outcome is Outcome.GAVE_UP:
        return Conclusion(after, TaskState.DEAD, reason)
    delay_s = policy.delay_s(after.attempts, drawn)
    if delay_s is None:
        return Conclusion(after, TaskState.DEAD, _bounded(f"failed {after.attempts} times, the last: {reason}"))
    if after_s is not None and not math.isnan(after_s):
        delay_s = min(max(after_s, 0.0), RETRY_AFTER_MAX_S)
    return Conclusion(after._replace(run_at=now + delay_s), TaskState.PENDING, reason)


def cancelled(task: Task) -> Conclusion:
    """Return what becomes of a task that is cancelled before it runs."""
    return Conclusion(task, TaskState.CANCELLED, "cancelled before it ran")


def _counted(task: Task, outcome: Outcome) -> Task:
    if outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.GAVE_UP):
        return task._replace(attempts=task.attempts + 1)
    if outcome is Outcome.ORPHANED:
        return task._replace(orphaned=task.orphaned + 1)
    return task


def _reason(outcome: Outcome, error: str | None) -> str:
    return _bounded(error) if error else outcome.value.replace("_", " ")


def _bounded(text: str) -> str:
    return text if len(text) <= ERROR_MAX else text[: ERROR_MAX - 1] + "…"
