"""The best that anyone could do who holds a fixed set."""

from __future__ import annotations

import pytest

from tests.bench.reads.zipf import best_static


@pytest.mark.parametrize(("held", "hit_rate"), [(30_000, 0.900), (10_000, 0.810), (1_000, 0.619)])
def test_best_static_of_a_hundred_thousand(held: int, hit_rate: float) -> None:
    """The sums of 1/r that the goals were written down from."""
    assert best_static(100_000, held) == pytest.approx(hit_rate, abs=0.001)


def test_all_held_is_all_hit() -> None:
    """More room than there are keys is worth no more."""
    assert best_static(7, 100) == 1.0
