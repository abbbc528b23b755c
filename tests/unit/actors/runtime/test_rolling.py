"""Counts of the last seconds forget what is older."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.rolling import RollingCounts


def test_events_and_marked_ones_are_counted() -> None:
    """The marked ones are among the events."""
    counts = RollingCounts(10.0)
    counts.add(5.0)
    counts.add(5.0, marked=True)
    assert counts.totals(5.0) == (2, 1)


def test_cleared_counts_are_empty() -> None:
    """At once, whatever the time."""
    counts = RollingCounts(10.0)
    counts.add(5.0, marked=True)
    counts.clear()
    assert counts.totals(5.0) == (0, 0)


@given(steps=st.lists(st.tuples(st.integers(0, 25), st.booleans()), max_size=60))
def test_they_agree_with_a_list_of_everything(steps: list[tuple[int, bool]]) -> None:
    """To the width of a bucket, over pauses of any length."""
    counts, now, seen = RollingCounts(10.0, buckets=10), 0.5, list[tuple[float, bool]]()
    for pause_s, marked in steps:
        now += pause_s
        counts.add(now, marked=marked)
        seen.append((now, marked))
        # Events lie in the middle of their buckets, so nine whole buckets and the present one are nine seconds.
        recent = [marked for at, marked in seen if at >= now - 9]
        assert counts.totals(now) == (len(recent), sum(recent))
