"""In which order tasks are handed out, and what holds them back."""

from __future__ import annotations

from collections import Counter

from actors.scheduler.lifecycle import SUSPECT_AFTER
from actors.scheduler.queue import ReadyQueue
from actors.scheduler.task import Priority
from tests.unit.scheduler.makers import make_registry, make_task, numbers

_AGEING_S = 10.0


def _queue(waiting_max: int = 1_000, lane_waiting_max: int = 100) -> ReadyQueue:
    registry = make_registry(
        a={}, b={}, strict={"lane_width": 1}, wide={"lane_width": 2}, scarce={"concurrency_max": 2}
    )
    return ReadyQueue(registry.find, ageing_s=_AGEING_S, waiting_max=waiting_max, lane_waiting_max=lane_waiting_max)


def test_critical_goes_before_high_before_normal_before_low() -> None:
    """Where they came at the same time."""
    queue = _queue()
    for priority in reversed(Priority):
        queue.add(make_task(priority, priority=priority))
    assert numbers(queue.take(0.0, 10)) == [0, 1, 2, 3]


def test_a_low_task_goes_before_a_critical_one_that_came_three_steps_later() -> None:
    """And not before one that came a moment earlier than that."""
    queue = _queue()
    queue.add(make_task(1, priority=Priority.LOW, run_at=0.0))
    queue.add(make_task(2, "b", priority=Priority.CRITICAL, run_at=3 * _AGEING_S - 0.01))
    queue.add(make_task(3, "b", priority=Priority.CRITICAL, run_at=3 * _AGEING_S + 0.01))
    assert numbers(queue.take(100.0, 10)) == [2, 1, 3]


def test_equals_go_in_the_order_of_coming() -> None:
    """First in, first out."""
    queue = _queue()
    for number in (5, 3, 4, 1):
        queue.add(make_task(number))
    assert numbers(queue.take(1.0, 10)) == [5, 3, 4, 1]


def test_an_owner_with_much_waiting_does_not_hold_up_another() -> None:
    """The other's first task is next, though it came last."""
    queue = _queue()
    for number in range(100):
        queue.add(make_task(number, owner="busy"))
    queue.take(5.0, 4)
    queue.add(make_task(500, owner="quiet", run_at=5.0))
    assert numbers(queue.take(5.0, 1)) == [500]


def test_owners_with_much_waiting_run_equally_many() -> None:
    """Also where the tasks of one take far longer, and so stay."""
    queue = _queue()
    for number in range(300):
        queue.add(make_task(number, owner=("slow", "quick", "other")[number % 3]))
    running = queue.take(1.0, 12)
    assert Counter(task.owner for task in running) == {"slow": 4, "quick": 4, "other": 4}
    now = 1.0
    for _ in range(20):
        now += 0.1
        ended = [task for task in running if task.owner != "slow"]
        for task in ended:
            queue.ended(task.id)
        running = [task for task in running if task.owner == "slow"] + queue.take(now, len(ended))
    assert Counter(task.owner for task in running)["slow"] <= 5


def test_owners_who_wait_long_take_turns_whatever_their_crowds_age() -> None:
    """The age of one's own crowd gives no precedence over others who wait as well."""
    queue = _queue()
    for number in range(100):
        queue.add(make_task(number, owner="old", priority=Priority.CRITICAL))
        queue.add(make_task(1_000 + number, owner="new", priority=Priority.CRITICAL, run_at=50.0))
    owners = []
    for turn in range(40):
        (task,) = queue.take(60.0 + turn, 1)
        owners.append(task.owner)
        queue.ended(task.id)
    assert 19 <= owners.count("new") <= 21


def test_a_name_has_no_more_runs_than_it_may() -> None:
    """Others pass by, and an end lets the oldest that waits go."""
    queue = _queue()
    for number in range(4):
        queue.add(make_task(number, "scarce", owner=f"m{number}", run_at=float(number)))
    queue.add(make_task(9, owner="m0", run_at=50.0))
    assert numbers(queue.take(60.0, 10)) == [0, 1, 9]
    queue.ended(make_task(0).id)
    assert numbers(queue.take(61.0, 10)) == [2]


def test_a_lane_hands_out_one_after_the_other() -> None:
    """In the order of coming, whatever their priorities; other lanes go on."""
    queue = _queue()
    queue.add(make_task(1, "strict", lane="x", priority=Priority.LOW))
    queue.add(make_task(2, "strict", lane="x", priority=Priority.CRITICAL))
    queue.add(make_task(3, "strict", lane="y"))
    assert numbers(queue.take(0.0, 10)) == [3, 1]
    queue.ended(make_task(1).id)
    assert numbers(queue.take(0.0, 10)) == [2]


def test_a_strict_lane_waits_for_its_head_until_it_runs_again() -> None:
    """The head keeps its place; no other lane notices."""
    queue = _queue()
    for number in (1, 2):
        queue.add(make_task(number, "strict", lane="x"))
    queue.take(0.0, 1)
    queue.ended(make_task(1).id, keeps_place=True)
    queue.add(make_task(3, "strict", lane="y"))
    assert numbers(queue.take(0.0, 10)) == [3]
    queue.add(make_task(1, "strict", lane="x", attempts=1, run_at=5.0))
    assert numbers(queue.take(5.0, 10)) == [1]
    queue.ended(make_task(1).id)
    assert numbers(queue.take(5.0, 10)) == [2]


def test_a_wide_lane_goes_on_and_takes_the_one_that_failed_first_when_it_is_back() -> None:
    """Before those who have waited longer."""
    queue = _queue()
    for number in range(5):
        queue.add(make_task(number, "wide", lane="x"))
    assert numbers(queue.take(0.0, 10)) == [0, 1]
    queue.ended(make_task(0).id)
    assert numbers(queue.take(0.0, 10)) == [2]
    queue.add(make_task(0, "wide", lane="x", attempts=1))
    queue.ended(make_task(1).id)
    assert numbers(queue.take(0.0, 10)) == [0]


def test_a_cancelled_task_is_not_handed_out() -> None:
    """The next of its lane takes its place."""
    queue = _queue()
    for number in (1, 2):
        queue.add(make_task(number, "strict", lane="x"))
    cancelled = queue.cancel(make_task(1).id)
    assert cancelled is not None
    assert queue.cancel(make_task(1).id) is None
    assert numbers(queue.take(0.0, 10)) == [2]


def test_a_suspect_is_handed_out_alone() -> None:
    """Never among the others."""
    queue = _queue()
    queue.add(make_task(1, orphaned=SUSPECT_AFTER))
    queue.add(make_task(2, orphaned=SUSPECT_AFTER - 1))
    assert numbers(queue.take(0.0, 10)) == [2]
    suspect = queue.take_suspect(0.0)
    assert suspect is not None
    assert suspect.id.int == 1
    assert queue.take_suspect(0.0) is None


def test_what_runs_already_counts() -> None:
    """In its lane and for its name."""
    queue = _queue()
    queue.adopt(make_task(1, "strict", lane="x"), 0.0)
    queue.adopt(make_task(2, "scarce"), 0.0)
    queue.add(make_task(3, "strict", lane="x"))
    for number in (4, 5):
        queue.add(make_task(number, "scarce"))
    assert numbers(queue.take(0.0, 10)) == [4]
    queue.ended(make_task(1).id)
    assert numbers(queue.take(0.0, 10)) == [3]


def test_it_says_when_it_has_no_room() -> None:
    """For one owner at half its size, for a lane at its bound, for all when it is full; each priority for itself."""
    queue = _queue(waiting_max=6, lane_waiting_max=2)
    for number in range(3):
        queue.add(make_task(number, owner="busy"))
    assert not queue.admits(make_task(9, owner="busy"))
    assert queue.admits(make_task(9, owner="busy", priority=Priority.LOW))
    for number in range(10, 13):
        queue.add(make_task(number, "strict", owner=f"m{number}", lane="x", priority=Priority.LOW))
    assert not queue.admits(make_task(9, "strict", lane="x"))
    assert queue.admits(make_task(9, "strict", lane="y"))
    for number in range(20, 23):
        queue.add(make_task(number, owner=f"m{number}"))
    assert queue.is_full(Priority.NORMAL)
    assert not queue.is_full(Priority.LOW)
    assert queue.room(Priority.LOW) == 3
    assert not queue.admits(make_task(9, owner="new"))
    assert queue.sizes == (0, 0, 6, 3)


def test_nothing_is_kept_of_owners_and_lanes_that_are_gone() -> None:
    """So merchants that come and go take no room."""
    queue = _queue()
    for number in range(50):
        queue.add(make_task(number, "strict", owner=f"m{number}", lane=f"l{number}"))
    for task in queue.take(0.0, 20):
        queue.ended(task.id)
    for number in range(50):
        queue.cancel(make_task(number).id)
    assert not queue._turns._owners
    assert not queue._lanes._lanes
    assert not queue._sizes_by_owner
    assert len(queue) == queue.running == 0
