"""The sliding window counts each permit up to its time, and with a tick up to less than one longer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cache.limits.window import SlidingWindow

_ENTRIES = st.lists(st.tuples(st.integers(1, 5), st.floats(0, 100)), max_size=30)


@given(_ENTRIES, st.floats(0, 110), st.sampled_from([0.0, 0.05, 1.0]))
def test_it_counts_what_a_list_of_all_would(entries: list[tuple[int, float]], now: float, tick_s: float) -> None:
    """Whatever the order: none is forgotten early, and none is counted a tick too long."""
    window = SlidingWindow(tick_s)
    for count, until in entries:
        window.add(count, until)
    window.expire(now)
    assert window.used == sum(count for _, count in window)
    at_least = sum(count for count, until in entries if until > now)
    at_most = sum(count for count, until in entries if until > now - tick_s - 1e-9)
    assert at_least <= window.used <= (at_most if tick_s else at_least)


def test_it_says_when_permits_are_free() -> None:
    """So many of them, the earliest first; None where there are fewer."""
    window = SlidingWindow(0.0)
    window.add(2, 5.0)
    window.add(1, 3.0)
    assert [window.frees(count) for count in (1, 2, 3, 4)] == [3.0, 5.0, 5.0, None]


def test_its_size_is_bounded_by_its_ticks() -> None:
    """However many are counted."""
    window = SlidingWindow(0.05)
    for number in range(10_000):
        window.add(1, number * 60 / 10_000)
    assert len(list(window)) <= 1201
    assert window.used == 10_000


@pytest.mark.parametrize("count", [0, -1])
def test_nothing_is_not_counted(count: int) -> None:
    """A mistake, not an entry."""
    with pytest.raises(AssertionError):
        SlidingWindow(0.0).add(count, 1.0)
