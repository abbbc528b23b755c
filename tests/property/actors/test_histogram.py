"""Histograms of any numbers: they may be added in any order, and no quantile is further off than promised."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.histogram import RELATIVE_ERROR, Histogram

# Sums of such floats are exact, so that they too are the same in any order.
_exact = st.integers(0, 2**32).map(lambda number: number / 1024)
_some = st.lists(_exact, max_size=30)
_durations = st.lists(st.floats(1e-9, 1e9, exclude_min=True), min_size=1, max_size=100)


def _of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def _sum(*histograms: Histogram) -> Histogram:
    total = Histogram()
    for histogram in histograms:
        total.add(histogram)
    return total


@given(_some, _some, _some)
def test_adding_is_associative_and_commutative(a: list[float], b: list[float], c: list[float]) -> None:
    """And the same as recording everything in one place."""
    whole = _of([*a, *b, *c])
    assert _sum(_sum(_of(a), _of(b)), _of(c)) == whole
    assert _sum(_of(a), _sum(_of(b), _of(c))) == whole
    assert _sum(_of(c), _of(a), _of(b)) == whole
    assert whole.count == len(a) + len(b) + len(c)


@given(_some, _some)
def test_what_came_later_is_what_is_left(a: list[float], b: list[float]) -> None:
    """Taking away is the opposite of adding."""
    assert _of([*a, *b]).since(_of(a)) == _of(b)


@given(_durations, st.floats(0, 1))
def test_a_quantile_is_within_the_bound(values: list[float], part: float) -> None:
    """Of the number that has that rank."""
    found = _of(values).quantile(part)
    exact = sorted(values)[math.floor(part * (len(values) - 1))]
    assert found is not None
    assert abs(found - exact) <= exact * RELATIVE_ERROR * (1 + 1e-9)


@given(_durations, _durations)
def test_bounds_count_more_the_higher_they_are(values: list[float], bounds: list[float]) -> None:
    """Never more than there are, and each within a bucket of the truth."""
    counts = _of(values).up_to(sorted(bounds))
    assert counts == sorted(counts)
    for bound, count in zip(sorted(bounds), counts, strict=True):
        assert sum(value < bound / 1.05 for value in values) <= count <= sum(value <= bound * 1.05 for value in values)
