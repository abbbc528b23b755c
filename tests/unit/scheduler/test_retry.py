"""When a task that failed runs again."""

from __future__ import annotations

import pickle

import pytest

from actors.scheduler.retry import GiveUp, Retry, RetryPolicy


def test_pauses_double_up_to_the_longest() -> None:
    """Drawn evenly from nothing up to that."""
    policy = RetryPolicy(attempts_max=100, first_s=1.0, max_s=10.0)
    assert [policy.delay_s(attempts, 1.0) for attempts in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert policy.delay_s(4, 0.25) == 2.0
    assert policy.delay_s(99, 1.0) == 10.0


def test_the_last_attempt_has_no_pause() -> None:
    """Nor any after it."""
    policy = RetryPolicy(attempts_max=2)
    assert policy.delay_s(1, 0.5) is not None
    assert policy.delay_s(2, 0.5) is None
    assert policy.delay_s(3, 0.5) is None


def test_steps_are_taken_in_their_order_the_last_for_all_that_follow() -> None:
    """And at least half of each is waited."""
    policy = RetryPolicy(attempts_max=5, steps_s=(10.0, 60.0))
    assert [policy.delay_s(attempts, 0.0) for attempts in range(1, 6)] == [10.0, 60.0, 60.0, 60.0, None]
    assert policy.delay_s(1, 1.0) == 5.0


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"attempts_max": 0}, "attempts_max"),
        ({"first_s": 0.0}, "first_s"),
        ({"first_s": 9.0, "max_s": 1.0}, "first_s"),
        ({"steps_s": (1.0, 0.0)}, "steps_s"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(limits: dict[str, float], field: str) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match=field):
        RetryPolicy(**limits)  # type: ignore[arg-type]


def test_what_a_task_raises_survives_a_pickle() -> None:
    """It crosses processes."""
    error = pickle.loads(pickle.dumps(Retry("busy", 2.5)))
    assert (str(error), error.after_s) == ("busy", 2.5)
    assert str(pickle.loads(pickle.dumps(GiveUp("gone")))) == "gone"
