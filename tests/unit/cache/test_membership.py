"""A shard's place in the ring."""

from __future__ import annotations

import pytest

from actors.cache.sharding.membership import Followed, Membership
from actors.cache.sharding.stored import StoredRing
from actors.runtime.errors import Unavailable

_TWO = StoredRing(4, 2, None, 2)
_GROWING = StoredRing(4, 2, 3, 3)
_THREE = StoredRing(5, 3, None, 3)
_KEYS = [f"payment:{number}" for number in range(2000)]


def test_a_shard_serves_the_ring_in_force() -> None:
    """Clients that route by it have sessions, those behind hear of it, those ahead come again."""
    member = Membership("cache-shard-0", _TWO)
    assert member.serve() == 4
    assert member.admit(4) is None
    assert member.admit(3) == _TWO.current
    with pytest.raises(Unavailable):
        member.admit(5)


def test_a_change_is_begun_once_and_then_served() -> None:
    """Between the beginning and the end nobody has a session; news that comes again means nothing."""
    member = Membership("cache-shard-0", _TWO)
    assert [member.follow(_GROWING) for _ in range(2)] == [Followed.RETIRE, Followed.NOTHING]
    assert member.serve() == 0
    for version in (3, 4, 5):
        with pytest.raises(Unavailable):
            member.admit(version)
    assert member.follow(_THREE) is Followed.NOTHING
    assert member.serve() == 5
    assert member.admit(4) == _THREE.current
    assert member.admit(5) is None


@pytest.mark.parametrize("late", [_TWO, _GROWING, _THREE])
def test_old_news_changes_nothing(late: StoredRing) -> None:
    """A call may arrive long after it was sent."""
    member = Membership("cache-shard-0", _TWO)
    member.follow(_GROWING)
    member.follow(_THREE)
    member.serve()
    assert member.follow(late) is Followed.NOTHING
    assert member.serve() == 5


def test_a_shard_that_starts_in_the_middle_serves_nothing_until_the_end() -> None:
    """And retires too: it may have found in Redis what will be another's."""
    member = Membership("cache-shard-0", _GROWING)
    assert member.serve() == 0
    assert [member.follow(_GROWING) for _ in range(2)] == [Followed.RETIRE, Followed.NOTHING]
    member.follow(_THREE)
    assert member.serve() == 5


def test_a_shard_that_missed_a_change_lets_its_leases_run_out() -> None:
    """Where it served meanwhile; where it did not, it only forgets."""
    served = Membership("cache-shard-0", _TWO)
    assert served.follow(_THREE) is Followed.RECOVER
    assert served.serve() == 5
    idle = Membership("cache-shard-2", _TWO)
    assert idle.follow(_THREE) is Followed.FORGET
    assert idle.serve() == 5


def test_a_shard_outside_the_ring_serves_nobody() -> None:
    """It tells those behind of the ring, and has nothing for the others."""
    member = Membership("cache-shard-2", _TWO)
    assert member.serve() == 0
    assert member.admit(3) == _TWO.current
    with pytest.raises(Unavailable):
        member.admit(4)


def test_about_an_nth_of_the_keys_moves_to_a_new_shard() -> None:
    """And all others stay where they are: of three shards the third takes a third from both."""
    before = [Membership(f"cache-shard-{number}", _TWO).owns() for number in range(2)]
    after = [Membership(f"cache-shard-{number}", _GROWING).owns() for number in range(3)]
    moved = [key for key in _KEYS if [owns(key) for owns in before] != [owns(key) for owns in after[:2]]]
    assert len(moved) == pytest.approx(len(_KEYS) / 3, rel=0.15)
    assert all(after[2](key) for key in moved)
    assert all(sum(owns(key) for owns in after) == 1 for key in _KEYS)


@pytest.mark.parametrize(
    ("name", "stored", "loses"),
    [
        ("cache-shard-0", _TWO, False),
        ("cache-shard-0", _GROWING, True),
        ("cache-shard-0", StoredRing(4, 2, 1, 1), False),
        ("cache-shard-1", StoredRing(4, 2, 1, 1), True),
    ],
)
def test_keys_leave_shards_that_go_and_those_that_get_company(name: str, stored: StoredRing, loses: bool) -> None:
    """A shard that is left with more keys keeps all of its own, in Redis too."""
    member = Membership(name, stored)
    assert member.loses_keys() is loses
    assert all(member.owns()(key) for key in _KEYS if Membership(name, _TWO).owns()(key)) is not loses
