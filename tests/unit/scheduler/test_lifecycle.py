"""What becomes of a task when a run has ended."""

from __future__ import annotations

import pytest

from actors.scheduler.lifecycle import (
    ERROR_MAX,
    ORPHANED_MAX,
    RETRY_AFTER_MAX_S,
    SUSPECT_AFTER,
    Conclusion,
    Outcome,
    cancelled,
    conclude,
    is_suspect,
)
from actors.scheduler.retry import RetryPolicy
from actors.scheduler.task import Task, TaskState
from tests.unit.scheduler.makers import make_task

_POLICY = RetryPolicy(attempts_max=3, first_s=4.0)
_NOW = 100.0


def _after(
    outcome: Outcome,
    task: Task | None = None,
    *,
    error: str | None = None,
    after_s: float | None = None,
    cancel_asked: bool = False,
) -> Conclusion:
    given = make_task(1) if task is None else task
    return conclude(given, outcome, _POLICY, _NOW, drawn=0.5, error=error, after_s=after_s, cancel_asked=cancel_asked)


def test_a_success_ends_it() -> None:
    """Nothing is counted, and there is no error; also where it was asked to be cancelled meanwhile."""
    for cancel_asked in (False, True):
        after = _after(Outcome.SUCCEEDED, cancel_asked=cancel_asked)
        assert after == Conclusion(make_task(1), TaskState.SUCCEEDED, None)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT])
def test_a_failure_is_tried_again_after_the_pause_of_the_policy(outcome: Outcome) -> None:
    """Its attempt is counted."""
    after = _after(outcome, error="no answer")
    assert after == Conclusion(make_task(1, attempts=1, run_at=_NOW + 2.0), TaskState.PENDING, "no answer")


def test_the_last_failure_is_its_death() -> None:
    """The reason says how often it failed, and why in the end."""
    after = _after(Outcome.FAILED, make_task(1, attempts=2), error="no answer")
    assert (after.state, after.task.attempts) == (TaskState.DEAD, 3)
    assert after.error == "failed 3 times, the last: no answer"


@pytest.mark.parametrize(
    ("asked", "pause_s"), [(30.0, 30.0), (-1.0, 0.0), (1e12, RETRY_AFTER_MAX_S), (float("nan"), 2.0)]
)
def test_the_function_may_know_better_when(asked: float, pause_s: float) -> None:
    """Within bounds; what is no number counts as nothing said."""
    assert _after(Outcome.FAILED, after_s=asked).task.run_at == _NOW + pause_s


def test_a_pause_of_its_own_gives_no_attempt_more() -> None:
    """The policy's bound holds."""
    assert _after(Outcome.FAILED, make_task(1, attempts=2), after_s=1.0).state is TaskState.DEAD


def test_giving_up_is_its_death_at_once() -> None:
    """With the reason as it was given."""
    after = _after(Outcome.GAVE_UP, error="no such endpoint")
    assert (after.state, after.error) == (TaskState.DEAD, "no such endpoint")


def test_an_orphan_runs_again_with_the_age_that_it_has() -> None:
    """It counts as orphaned, not as failed."""
    after = _after(Outcome.ORPHANED, make_task(1, run_at=50.0, attempts=1))
    assert after.task == make_task(1, run_at=50.0, attempts=1, orphaned=1)
    assert after.state is TaskState.PENDING


def test_a_task_that_lost_as_many_workers_as_it_may_is_dead() -> None:
    """Its last worker it had for itself, as a suspect."""
    task = make_task(1)
    for count in range(1, ORPHANED_MAX + 1):
        assert is_suspect(task) == (count > SUSPECT_AFTER)
        after = _after(Outcome.ORPHANED, task)
        task = after.task
        assert task.orphaned == count
        assert after.state is (TaskState.DEAD if count == ORPHANED_MAX else TaskState.PENDING)
    assert after.error == f"its worker was lost {ORPHANED_MAX} times while it ran"


def test_an_interrupted_run_counts_as_nothing() -> None:
    """Its worker had to stop."""
    after = _after(Outcome.INTERRUPTED, make_task(1, run_at=50.0))
    assert (after.task, after.state) == (make_task(1, run_at=50.0), TaskState.PENDING)


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.SUCCEEDED])
def test_what_was_asked_to_be_cancelled_does_not_run_again(outcome: Outcome) -> None:
    """However the run ended, short of a success."""
    assert _after(outcome, cancel_asked=True).state is TaskState.CANCELLED


def test_what_never_ran_is_cancelled_as_it_is() -> None:
    """With a reason."""
    assert cancelled(make_task(1)) == Conclusion(make_task(1), TaskState.CANCELLED, "cancelled before it ran")


def test_errors_are_bounded() -> None:
    """A traceback can be long."""
    for outcome in (Outcome.FAILED, Outcome.GAVE_UP):
        for attempts in (0, 2):
            after = _after(outcome, make_task(1, attempts=attempts), error="x" * 100_000)
            assert after.error is not None
            assert len(after.error) <= ERROR_MAX
