"""The ring of owners."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cache.ring import Ring

KEYS = [f"payment:pay_{number}" for number in range(20_000)]
NAMES = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6, unique=True)


def shards(count: int) -> list[str]:
    return [f"shard-{number}" for number in range(count)]


def owners_of(ring: Ring) -> dict[str, str]:
    return {key: ring.owner(key) for key in KEYS}


def length_shares(ring: Ring) -> dict[str, float]:
    """What part of all possible keys each owner has, by the lengths of its arcs."""
    points = [int.from_bytes(point, "big") for point in ring._points]
    shares: Counter[str] = Counter()
    for before, point, owner in zip([points[-1] - 2**64, *points], points, ring._owners_at, strict=False):
        shares[owner] += point - before
    return {owner: length / 2**64 for owner, length in shares.items()}


def test_a_ring_needs_owners() -> None:
    """There is nobody to return."""
    with pytest.raises(ValueError, match="at least one"):
        Ring([])


def test_an_owner_comes_once() -> None:
    """The same name twice is a mistake of whoever counts the shards."""
    with pytest.raises(ValueError, match="twice"):
        Ring(["a", "b", "a"])


def test_one_owner_has_every_key() -> None:
    """Also those whose hash lies past its last point."""
    assert set(owners_of(Ring(["only"], points_per_owner=1)).values()) == {"only"}


def test_the_order_of_owners_changes_nothing() -> None:
    """Two processes need to agree on the names alone."""
    assert owners_of(Ring(shards(5))) == owners_of(Ring(shards(5)[::-1]))


def test_the_owner_is_the_same_in_every_process() -> None:
    """Python's own hash differs from process to process, so it may have no part in this."""
    code = (
        "from actors.cache.ring import Ring\n"
        "ring = Ring([f'shard-{number}' for number in range(7)])\n"
        "print(*(ring.owner(f'payment:pay_{number}') for number in range(50)))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ring = Ring(shards(7))
    assert other == [ring.owner(key) for key in KEYS[:50]]


@pytest.mark.parametrize("count", range(2, 11))
def test_owners_have_equal_shares(count: int) -> None:
    """Each has its nth part of all possible keys, give or take 15 %."""
    for names in (shards(count), [f"10.0.0.{number}:6379" for number in range(count)]):
        for share in length_shares(Ring(names)).values():
            assert share == pytest.approx(1 / count, rel=0.15)


def test_keys_follow_the_shares() -> None:
    """Keys that differ by a number only are spread as well as any."""
    counts = Counter(owners_of(Ring(shards(10))).values())
    assert min(counts.values()) > 0.85 * len(KEYS) / 10
    assert max(counts.values()) < 1.15 * len(KEYS) / 10


@given(NAMES, st.text(min_size=1, max_size=20), st.lists(st.text(), max_size=30))
def test_a_new_owner_only_takes(names: list[str], added: str, keys: list[str]) -> None:
    """No key moves between the others, and taking the owner away gives all of its keys back."""
    if added in names:
        return
    before = Ring(names, points_per_owner=16)
    after, again = (Ring(owners, points_per_owner=16) for owners in ([*names, added], [*reversed(names)]))
    for key in keys:
        assert after.owner(key) in {before.owner(key), added}
        assert again.owner(key) == before.owner(key)


@pytest.mark.parametrize("count", [2, 5, 10])
def test_a_new_owner_takes_no_more_than_its_part(count: int) -> None:
    """One of n moves about an nth of the keys, and by no means all as with a remainder."""
    before, after = owners_of(Ring(shards(count - 1))), owners_of(Ring(shards(count)))
    moved = [key for key in KEYS if before[key] != after[key]]
    assert len(moved) < 1.15 * len(KEYS) / count
    assert {after[key] for key in moved} == {f"shard-{count - 1}"}


def test_a_ring_travels() -> None:
    """It can be sent to another process."""
    ring = Ring(shards(3))
    copy = pickle.loads(pickle.dumps(ring))
    keys = random.Random(1).sample(KEYS, 200)
    assert [copy.owner(key) for key in keys] == [ring.owner(key) for key in keys]
