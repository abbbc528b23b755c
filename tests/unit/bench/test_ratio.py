"""A ratio of pairs and its interval."""

from __future__ import annotations

import random

import pytest

from tests.bench.ratio import paired_ratio


def test_what_changes_between_pairs_drops_out() -> None:
    """Pairs of one ratio have that ratio, however far apart they are, and no interval."""
    found = paired_ratio([(1.05 * speed, speed) for speed in (1.0, 2.0, 10.0)])
    assert (found.ratio, found.low, found.high) == pytest.approx((1.05,) * 3)
    assert found.pairs == 3


def test_the_interval_has_the_truth_most_of_the_time() -> None:
    """In some 95 of 100 runs of 24 noisy pairs; a bootstrap of so few is a little too narrow."""
    draw = random.Random(5)
    hits = 0
    for _ in range(100):
        pairs = [(1.03 * draw.lognormvariate(0, 0.05), draw.lognormvariate(0, 0.05)) for _ in range(24)]
        found = paired_ratio(pairs, seed=draw.randrange(1000))
        hits += found.low <= 1.03 <= found.high
    assert 88 <= hits <= 99


def test_one_pair_is_not_enough() -> None:
    """It says nothing of how much pairs differ."""
    with pytest.raises(AssertionError, match="more than one"):
        paired_ratio([(1.0, 1.0)])
