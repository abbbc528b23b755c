"""Reads by how they ended."""

from __future__ import annotations

from tests.bench.reads.cache_counts import CacheCounts, added


def test_hits_are_reads_that_cost_no_load() -> None:
    """Loads and reads past the cache are none."""
    counts = CacheCounts(near=5, joined=1, shard=2, loads=1, bypassed=1)
    assert (counts.reads, counts.hit_rate, counts.shard_share) == (10, 0.8, 0.2)


def test_no_reads_are_no_hits() -> None:
    """Nothing is divided by nothing."""
    assert CacheCounts().hit_rate == 0.0


def test_only_what_was_added_counts() -> None:
    """A reading that is missing leaves nothing to tell."""
    later = CacheCounts(3, 3, 3, 3, 3)
    assert added(later, CacheCounts(1, 1, 1, 1, 1)) == CacheCounts(2, 2, 2, 2, 2)
    assert added(later, None) is None
