"""Settings that hold a part of the payments."""

from __future__ import annotations

import pytest

from actors.cache.store.bounded import BoundedStore
from tests.bench.reads.sizes import BYTES_MIN, entry_bytes, size_for

JSON_BYTES = 700
EACH = entry_bytes(JSON_BYTES)


@pytest.mark.parametrize("share", [0.3, 0.1])
def test_two_shards_hold_the_share_that_is_wanted(share: float) -> None:
    """Where there is room for two shards, what fits into both is that share."""
    size = size_for(share, 100_000, EACH)
    assert size.shards == 2
    assert size.held == pytest.approx(share * 100_000, rel=1e-3)


def test_a_small_cache_has_one_shard() -> None:
    """One in a hundred would leave each of two shards under the minimum; near it stays at that."""
    size = size_for(0.01, 100_000, EACH)
    assert (size.shards, size.near_bytes) == (1, BYTES_MIN)
    assert size.held == pytest.approx(1000, rel=1e-2)


def test_no_cache_is_smaller_than_is_allowed() -> None:
    """What is held is then told as it is, not as it was wanted."""
    size = size_for(0.01, 1000, EACH)
    assert size.shard_bytes == BYTES_MIN
    assert size.held > 500


def test_a_store_holds_what_is_told_of_it() -> None:
    """The cost of an entry is the store's own."""
    size = size_for(0.01, 100_000, EACH)
    store: BoundedStore[None] = BoundedStore(size.shard_bytes)
    for number in range(2 * size.held):
        store.put(f"payment:{number:032x}t:{number:032x}", None, JSON_BYTES)
    assert len(store) == pytest.approx(size.held, rel=0.01)
