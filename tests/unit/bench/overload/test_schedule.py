"""When requests are due."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tests.bench.overload.schedule import Arrivals, merged


def test_paced_arrivals_are_evenly_apart() -> None:
    """Each is as far from the next as the rate says, from the start on and before the stop."""
    assert list(Arrivals(4, 1, 2, paced=True).due_times(random.Random(1))) == [1.0, 1.25, 1.5, 1.75]


def test_random_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    """There are as many as asked for, within the span, and intervals vary as much as they last."""
    times = list(Arrivals(1000, 2, 12).due_times(random.Random(1)))
    assert 9_600 < len(times) < 10_400
    assert times == sorted(times)
    assert 2 <= times[0] < times[-1] < 12
    intervals = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(intervals) / len(intervals)
    variance = sum((each - mean) ** 2 for each in intervals) / len(intervals)
    assert 0.9 < variance / mean**2 < 1.1


def test_streams_are_merged_in_time() -> None:
    """What is due first comes first, with the number of its stream."""
    streams = [Arrivals(2, 0, 1, paced=True), Arrivals(1, 0.25, 2, paced=True)]
    assert list(merged(streams, seed=1)) == [(0.0, 0), (0.25, 1), (0.5, 0), (1.25, 1)]


def test_a_seed_gives_the_same_times_beside_any_other_stream() -> None:
    """The times of one stream depend on the seed and not on what else is offered."""
    stream, other = Arrivals(50, 0, 2), Arrivals(70, 0, 2)
    alone = [due_s for due_s, _ in merged([stream], seed=7)]
    beside = [due_s for due_s, number in merged([stream, other], seed=7) if number == 0]
    assert alone == beside
    assert alone != [due_s for due_s, _ in merged([stream], seed=8)]


def test_shares_add_up_to_the_whole() -> None:
    """Several processes offer together what one would."""
    whole = Arrivals(90, 1, 4, paced=True)
    assert whole.share(3) == Arrivals(30, 1, 4, paced=True)


@pytest.mark.parametrize(
    ("values", "named"),
    [((0, 0, 1), "rate_per_s"), ((1, 2, 2), "start_s"), ((1, -1, 2), "start_s")],
)
def test_a_span_without_arrivals_is_refused(values: tuple[float, float, float], named: str) -> None:
    """A wrong value is an error that names it."""
    with pytest.raises(ValueError, match=named):
        Arrivals(*values)
