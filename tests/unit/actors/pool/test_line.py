"""The line before the connections."""

from __future__ import annotations

import asyncio

from actors.pool.line import Line, Place, Priority, expected_wait_s


async def join(line: Line, deadline: float, priority: Priority = Priority.NORMAL, now: float = 0.0) -> Place:
    place = line.place(asyncio.get_running_loop().create_future(), deadline, priority, now)
    line.join(place)
    return place


async def test_the_earliest_deadline_is_next_and_the_first_among_equals() -> None:
    """Whoever has less time goes first."""
    line = Line(10)
    late, early, also_early = await join(line, 5), await join(line, 3), await join(line, 3)
    assert [line.next(), line.next(), line.next(), line.next()] == [early, also_early, late, None]


async def test_urgent_work_comes_first_but_not_for_ever() -> None:
    """What waits is passed by what comes within the priority's seconds, and by nothing later."""
    line = Line(10)
    background = await join(line, 5.0, Priority.BACKGROUND)
    urgent = await join(line, 9.0, Priority.URGENT, now=4.0)
    much_later = await join(line, 20.0, Priority.URGENT, now=15.0)
    assert [line.next(), line.next(), line.next()] == [urgent, background, much_later]


async def test_a_full_line_sends_the_last_one_away() -> None:
    """A more urgent one takes its place; the last one to come, if it is last, has none."""
    line = Line(2)
    first, last = await join(line, 1), await join(line, 3)
    place = line.place(asyncio.get_running_loop().create_future(), 2, Priority.NORMAL, 0.0)
    assert line.join(place) is last
    hopeless = line.place(asyncio.get_running_loop().create_future(), 9, Priority.BACKGROUND, 0.0)
    assert line.join(hopeless) is hopeless
    assert [line.next(), line.next()] == [first, place]


async def test_those_who_left_are_passed_over() -> None:
    """Whether they gave their place up or not."""
    line = Line(10)
    gone, cancelled, there = await join(line, 1), await join(line, 1), await join(line, 1)
    assert line.leave(gone)
    assert not line.leave(gone)
    cancelled.future.cancel()
    assert line.next() is there
    assert not line.leave(there)


async def test_how_many_are_ahead_and_how_long_the_first_has_waited() -> None:
    """By the order in which they are served."""
    line = Line(10)
    await join(line, 5, now=1.0)
    await join(line, 9, now=2.0)
    place = line.place(asyncio.get_running_loop().create_future(), 7, Priority.NORMAL, 3.0)
    assert line.ahead(place) == 1
    assert line.waited_s(4.0) == 3.0
    assert [each.deadline for each in line.due_before(6)] == [5]
    assert len(line) == 1


def test_the_expected_wait() -> None:
    """Ten are served in the time of one by ten servers."""
    assert expected_wait_s(0, 10, 0.1) == 0.01
    assert expected_wait_s(9, 10, 0.1) == 0.1
