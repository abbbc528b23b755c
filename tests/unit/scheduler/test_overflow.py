"""What is read from the table, and when."""

from __future__ import annotations

from actors.scheduler.overflow import Overflow, position
from actors.scheduler.task import Task
from tests.unit.scheduler.makers import make_task

_PAGE = 3
_NOW = 1_000.0


def _due(*times: float) -> list[Task]:
    return [make_task(number, run_at=at) for number, at in enumerate(times, 1)]


def test_a_new_owner_reads_all_from_the_beginning_page_by_page() -> None:
    """Up to the horizon, and not again before half of it has passed."""
    overflow = Overflow(horizon_s=60.0, page=_PAGE)
    page = overflow.next_page(_NOW, room=10)
    assert page is not None
    assert page[0][0] == float("-inf")
    assert page[1:] == (_NOW + 60.0, _PAGE)
    assert overflow.next_page(_NOW, room=10) is None
    tasks = _due(1.0, 2.0, 3.0)
    overflow.arrived(tasks, _NOW, won=True)
    page = overflow.next_page(_NOW, room=10)
    assert page is not None
    assert page[0] == position(tasks[-1])
    overflow.arrived([], _NOW, won=False)
    assert overflow.next_page(_NOW + 29.0, room=10) is None
    assert overflow.next_page(_NOW + 31.0, room=10) is not None


def _read_up_to_the_horizon() -> Overflow:
    overflow = Overflow(horizon_s=60.0, page=_PAGE)
    overflow.next_page(_NOW, room=10)
    overflow.arrived([], _NOW, won=False)
    return overflow


def test_without_room_for_a_page_nothing_is_read() -> None:
    """So pages are never empty-handed."""
    overflow = Overflow(page=_PAGE)
    assert overflow.next_page(_NOW, room=_PAGE - 1) is None
    assert overflow.next_page(_NOW, room=_PAGE) is not None


def test_what_is_left_is_read_from_there() -> None:
    """As soon as there is room; its own position is in the page."""
    overflow = _read_up_to_the_horizon()
    left = make_task(7, run_at=_NOW)
    overflow.leave(left)
    assert overflow.lower < position(left)
    page = overflow.next_page(_NOW, room=10)
    assert page is not None
    assert page[0] < position(left)


def test_what_is_left_beyond_the_horizon_changes_nothing() -> None:
    """It is met when its time comes near."""
    overflow = _read_up_to_the_horizon()
    lower = overflow.lower
    overflow.leave(make_task(7, run_at=_NOW + 3_600.0))
    assert overflow.lower == lower
    assert overflow.next_page(_NOW, room=10) is None


def test_what_is_left_while_a_page_is_under_way_is_not_passed_over() -> None:
    """The page may have been read before."""
    overflow = Overflow(horizon_s=60.0, page=_PAGE)
    overflow.next_page(_NOW, room=10)
    left = make_task(7, run_at=_NOW - 5.0)
    overflow.leave(left)
    overflow.arrived([], _NOW, won=True)
    assert overflow.lower < position(left)


def test_what_is_refused_comes_in_the_next_pass_after_a_pause() -> None:
    """The pause grows while passes win nothing, and is short again when one does."""
    overflow = Overflow(horizon_s=60.0, page=_PAGE)
    (refused,) = _due(5.0)
    now, pauses = _NOW, []
    for won in (False, False, False, True):
        while overflow.next_page(now, room=10) is None:
            now += 0.5
        overflow.refuse(refused)
        overflow.arrived([refused], now, won=won)
        began = now
        while overflow.next_page(now, room=10) is None:
            now += 0.5
        pauses.append(now - began)
        overflow.failed(now - 10.0)
    assert pauses == [2.0, 4.0, 8.0, 1.0]


def test_a_lane_that_left_one_behind_is_closed_for_the_pass() -> None:
    """So those behind it do not come before it."""
    overflow = Overflow(page=1)
    overflow.next_page(_NOW, room=10)
    first, second = (make_task(number, lane="x", run_at=float(number)) for number in (1, 2))
    overflow.refuse(first)
    overflow.arrived([first], _NOW, won=False)
    assert overflow.is_closed(second)
    assert not overflow.is_closed(make_task(3, lane="y"))
    overflow.next_page(_NOW, room=10)
    overflow.arrived([], _NOW, won=False)
    assert not overflow.is_closed(second)


def test_a_page_that_failed_is_read_again() -> None:
    """From the same place, after a pause."""
    overflow = Overflow(page=_PAGE)
    page = overflow.next_page(_NOW, room=10)
    overflow.failed(_NOW)
    assert overflow.next_page(_NOW, room=10) is None
    again = overflow.next_page(_NOW + 2.0, room=10)
    assert page is not None
    assert again is not None
    assert again[0] == page[0]
