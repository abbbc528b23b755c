"""What goes into which write."""

from __future__ import annotations

from uuid import UUID

from actors.scheduler.effects import Dispatch, RunRef
from actors.scheduler.journal import WRITE_MAX, Journal
from actors.scheduler.lifecycle import Conclusion
from actors.scheduler.task import TaskState
from tests.unit.scheduler.makers import make_task

_DISPATCH = Dispatch(UUID(int=1), "w0", "a", (make_task(1),))


def _conclusion(number: int, state: TaskState = TaskState.SUCCEEDED) -> Conclusion:
    return Conclusion(make_task(number), state, None)


def test_one_write_at_a_time() -> None:
    """What comes meanwhile is in the next."""
    journal = Journal()
    assert journal.next_write() is None
    journal.conclude(_conclusion(1))
    assert journal.next_write() is not None
    journal.conclude(_conclusion(2))
    assert journal.next_write() is None
    journal.written()
    write = journal.next_write()
    assert write is not None
    assert write.conclusions == (_conclusion(2),)


def test_a_task_is_known_until_its_write_is_durable() -> None:
    """And its worker is told then, not before."""
    journal = Journal()
    ref = RunRef(make_task(1).id, UUID(int=9))
    journal.conclude(_conclusion(1))
    journal.acknowledge("w0", ref)
    for _ in range(2):
        assert journal.concerns(ref.task_id)
        assert journal.awaits(ref)
        journal.next_write()
    assert journal.written()[1] == {ref: "w0"}
    assert not journal.concerns(ref.task_id)
    assert not journal.awaits(ref)


def test_dispatches_wait_for_all_conclusions() -> None:
    """A write holds so many of these; the next of a lane must not be durable before the end of the one before."""
    journal = Journal()
    for number in range(WRITE_MAX + 1):
        journal.conclude(_conclusion(number))
    journal.dispatch(_DISPATCH)
    first = journal.next_write()
    journal.written()
    second = journal.next_write()
    assert first is not None
    assert second is not None
    assert (len(first.conclusions), first.dispatches) == (WRITE_MAX, ())
    assert (len(second.conclusions), second.dispatches) == (1, (_DISPATCH,))


def test_a_cancel_replaces_another_run_but_no_end() -> None:
    """A task is once in a write."""
    journal = Journal()
    journal.conclude(_conclusion(1, TaskState.PENDING))
    journal.conclude(_conclusion(2))
    for number in (1, 2, 3, 3):
        journal.cancel(make_task(number).id)
    write = journal.next_write()
    assert write is not None
    assert [each.state for each in write.conclusions] == [TaskState.CANCELLED, TaskState.SUCCEEDED]
    assert write.cancels == (make_task(3).id,)
