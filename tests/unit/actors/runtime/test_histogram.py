"""A histogram by itself: what it says of what it was given, and what it costs to send."""

from __future__ import annotations

import math
import pickle

import pytest

from actors.runtime.histogram import HIGHEST, LOWEST, RELATIVE_ERROR, Histogram


def _of(*values: float) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def test_an_empty_one_has_no_quantile() -> None:
    """Nothing is not 0."""
    assert _of().quantile(0.5) is None
    assert (_of().count, _of().total, _of().up_to([1.0])) == (0, 0.0, [0])


def test_count_and_total_are_exact() -> None:
    """Whatever the buckets round."""
    histogram = _of(0.25, 0.5)
    histogram.record(2.0, 3)
    assert (histogram.count, histogram.total) == (5, 6.75)


@pytest.mark.parametrize(("part", "value"), [(0, 1), (0.5, 500), (0.99, 990), (1, 1000)])
def test_a_quantile_is_near_what_was_recorded(part: float, value: float) -> None:
    """Within the promised part of it."""
    found = _of(*range(1, 1001)).quantile(part)
    assert found == pytest.approx(value, rel=RELATIVE_ERROR + 0.001)


def test_numbers_out_of_range_are_counted() -> None:
    """As the least and the most that there is room for; how many buckets there are has a bound."""
    histogram = _of(0.0, 1e-30, 1e30, math.inf, *(1.1**power for power in range(-1000, 1000)))
    assert histogram.count == 2004
    assert histogram.quantile(0) == pytest.approx(LOWEST, rel=2 * RELATIVE_ERROR)
    assert histogram.quantile(1) == pytest.approx(HIGHEST, rel=2 * RELATIVE_ERROR)
    assert len(pickle.dumps(histogram)) < 631 * 10


@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_what_is_no_duration_is_a_mistake(value: float) -> None:
    """Whoever records it has a defect."""
    with pytest.raises(AssertionError):
        _of(value)


def test_bounds_of_preferred_numbers_are_kept_within_a_third_of_a_percent() -> None:
    """1, 2, 5 of each power of ten: what is clearly within a bound counts, what is clearly above does not."""
    for bound in (digit * 10.0**power for power in range(-5, 3) for digit in (1, 2, 5)):
        assert _of(bound * 0.997, bound * 1.003).up_to([bound / 2, bound, bound * 2]) == [0, 1, 2]


def test_what_was_counted_since_then_can_be_told_apart() -> None:
    """And added to what was there then it is the whole."""
    histogram = _of(1, 2, 3)
    earlier = pickle.loads(pickle.dumps(histogram))
    assert histogram.since(earlier) == Histogram()
    histogram.record(2)
    histogram.record(1000)
    assert histogram.since(earlier) == _of(2, 1000)
    earlier.add(histogram.since(earlier))
    assert earlier == histogram


def test_a_copy_is_equal_and_small() -> None:
    """A latency that varies by a factor of a hundred crosses processes in less than a kilobyte."""
    histogram = _of(*(10 ** (index / 500) for index in range(1000) for _ in range(50)))
    sent = pickle.dumps(histogram, protocol=5)
    assert pickle.loads(sent) == histogram
    assert len(sent) < 800
