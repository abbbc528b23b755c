"""Repeats stay a small share of the calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.retry_budget import RetryBudget


def test_repeats_are_a_share_of_the_calls() -> None:
    """When everything fails, a fifth of the calls is repeated, and not each of them."""
    budget = RetryBudget(share_max=0.2, reserve_per_s=0.0)
    allowed = 0
    for call in range(1000):
        budget.called(call / 1000)
        allowed += budget.allows(call / 1000)
    assert allowed == 200


def test_who_calls_seldom_may_repeat_too() -> None:
    """That is what the reserve is for."""
    budget = RetryBudget(share_max=0.2, reserve_per_s=1.0)
    budget.called(0.0)
    assert budget.allows(0.0)


def test_nothing_is_saved_up() -> None:
    """A busy minute buys no repeats for later."""
    budget = RetryBudget(share_max=0.2, reserve_per_s=0.0)
    for _ in range(1000):
        budget.called(0.0)
    assert budget.allows(9.0)
    assert not budget.allows(60.0)


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 5), st.integers(0, 30)), max_size=40))
def test_no_window_has_more(steps: list[tuple[float, int, int]]) -> None:
    """Whenever a repeat is allowed, those of the last ten seconds are within the share and the reserve."""
    budget, now = RetryBudget(share_max=0.2, reserve_per_s=0.5), 0.0
    calls, repeats = list[float](), list[float]()
    for pause_s, called, wanted in steps:
        now += pause_s
        for _ in range(called):
            budget.called(now)
            calls.append(now)
        allowed = [now for _ in range(wanted) if budget.allows(now)]
        repeats += allowed
        in_window = [at for at in repeats if at > now - 9]
        # Calls lapse before the repeats that they paid for, and then there are none until those have lapsed too.
        assert not allowed or len(in_window) <= 0.2 * len([at for at in calls if at > now - 10]) + 5
