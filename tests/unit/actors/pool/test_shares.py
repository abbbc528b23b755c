"""Fair shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.pool.shares import fair_shares


@pytest.mark.parametrize(
    ("total", "wants", "least", "shares"),
    [
        (10, [4, 20], 1, [4, 6]),
        (10, [10, 10], 1, [5, 5]),
        (10, [10, 10, 10], 1, [4, 3, 3]),
        (10, [1, 2, 30], 1, [1, 2, 7]),
        (10, [0, 5], 1, [0, 5]),
        (2, [5, 5, 5], 1, [1, 1, 0]),
        (7, [5, 5, 5], 3, [4, 3, 0]),
        (10, [1], 2, [2]),
        (0, [3], 1, [0]),
        (3, [], 1, []),
    ],
)
def test_shares(total: int, wants: list[int], least: int, shares: list[int]) -> None:
    """Small wants are met, the rest is equal, and where there is too little the first come first."""
    assert fair_shares(total, wants, least) == shares


@given(st.integers(0, 60), st.lists(st.integers(0, 30), max_size=30), st.integers(1, 4))
def test_nothing_is_wasted_and_nothing_invented(total: int, wants: list[int], least: int) -> None:
    """All is given out while somebody wants more, never more than there is, and nobody's part could grow fairly."""
    shares = fair_shares(total, wants, least)
    assert sum(shares) <= total
    for want, share in zip(wants, shares, strict=True):
        assert share <= max(want, least if want else 0)
        assert share == 0 or share >= least
    short = [index for index, share in enumerate(shares) if 0 < share < wants[index]]
    if short:
        assert sum(shares) == total
        assert max(shares) - min(shares[index] for index in short) <= 1 or max(shares) <= least
