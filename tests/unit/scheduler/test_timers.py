"""Tasks that are due later."""

from __future__ import annotations

from uuid import UUID

from actors.scheduler.timers import Timers

_A, _B, _C = UUID(int=1), UUID(int=2), UUID(int=3)


def test_they_fall_due_in_the_order_of_time() -> None:
    """Each once, when its time is there and not before."""
    timers = Timers(10)
    for task_id, due_at in ((_A, 3.0), (_B, 1.0), (_C, 2.0)):
        timers.add(task_id, due_at)
    assert timers.next_at == 1.0
    assert timers.due(0.9) == []
    assert timers.due(2.0) == [_B, _C]
    assert timers.due(9.0) == [_A]
    assert timers.next_at is None


def test_one_that_is_cancelled_never_falls_due() -> None:
    """And a second cancellation finds nothing."""
    timers = Timers(10)
    timers.add(_A, 1.0)
    assert timers.cancel(_A)
    assert not timers.cancel(_A)
    assert timers.due(5.0) == []


def test_they_say_when_they_are_full() -> None:
    """By what waits, not by what was ever added."""
    timers = Timers(2)
    for task_id in (_A, _B):
        timers.add(task_id, 1.0)
    assert timers.is_full
    timers.cancel(_A)
    assert not timers.is_full
