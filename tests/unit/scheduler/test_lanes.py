"""Who has a place in a lane, and who waits for one."""

from __future__ import annotations

from uuid import UUID

from actors.scheduler.lanes import Lanes

_LANE = ("a", "lane")
_IDS = [UUID(int=number) for number in range(6)]


def _filled(width: int, count: int) -> Lanes:
    lanes = Lanes()
    for number in range(count):
        lanes.enter(_LANE, width, _IDS[number], first=False)
    return lanes


def test_as_many_have_a_place_as_the_lane_is_wide() -> None:
    """The next in line follows whoever leaves."""
    lanes = _filled(2, 5)
    assert [lanes.holds(_LANE, each) for each in _IDS[:5]] == [True, True, False, False, False]
    assert lanes.leave(_LANE, _IDS[1]) == _IDS[2]
    assert lanes.leave(_LANE, _IDS[0]) == _IDS[3]


def test_one_that_goes_first_comes_before_all_who_wait() -> None:
    """It has no place before one is left, though."""
    lanes = _filled(1, 3)
    assert not lanes.enter(_LANE, 1, _IDS[5], first=True)
    assert lanes.leave(_LANE, _IDS[0]) == _IDS[5]


def test_whoever_has_a_place_keeps_it_when_coming_again() -> None:
    """So a lane that waits for its head goes on with it."""
    lanes = _filled(1, 2)
    assert lanes.enter(_LANE, 1, _IDS[0], first=True)
    assert lanes.waiting(_LANE) == 1


def test_whoever_waits_can_leave() -> None:
    """Nobody gets a place by that."""
    lanes = _filled(1, 3)
    assert lanes.leave(_LANE, _IDS[1]) is None
    assert lanes.leave(_LANE, _IDS[0]) == _IDS[2]


def test_a_lane_that_is_too_full_gives_no_place_until_it_is_not() -> None:
    """What ran already when it became known may be more than the lane is wide."""
    lanes = Lanes()
    for task_id in _IDS[:2]:
        lanes.occupy(_LANE, 1, task_id)
    assert not lanes.enter(_LANE, 1, _IDS[2], first=False)
    assert lanes.leave(_LANE, _IDS[0]) is None
    assert lanes.leave(_LANE, _IDS[1]) == _IDS[2]


def test_names_do_not_share_lanes() -> None:
    """A lane belongs to a name."""
    lanes = _filled(1, 1)
    assert lanes.enter(("b", "lane"), 1, _IDS[1], first=False)
