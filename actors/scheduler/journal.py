"""What has to become durable, one write after the other."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar
from uuid import UUID

from actors.scheduler.effects import Dispatch, RunRef, Write
from actors.scheduler.lifecycle import Conclusion, cancelled
from actors.scheduler.task import TaskState

WRITE_MAX = 2_000

_Value = TypeVar("_Value")


class Journal:
    """Conclusions, cancels and dispatches that wait for a write, and the write that is under way.

    One write at a time, at most `WRITE_MAX` conclusions and as many cancels in each, oldest first. Where conclusions
    are left over it has no dispatches, so none is durable before the ends that made room for it.
    """

    def __init__(self) -> None:
        self._conclusions: dict[UUID, Conclusion] = {}
        self._cancels: dict[UUID, None] = {}
        self._dispatches: list[Dispatch] = []
        self._ends: dict[UUID, tuple[str, RunRef]] = {}
        self._writing: Write | None = None
        self._ids_writing: frozenset[UUID] = frozenset()
        self._acks_writing: dict[RunRef, str] = {}

    def __len__(self) -> int:
        return len(self._conclusions) + len(self._cancels)

    @property
    def is_writing(self) -> bool:
        """Whether a write is under way."""
        return self._writing is not None

    @property
    def takes_dispatches(self) -> bool:
        """Whether the next write may have dispatches."""
        return self._writing is None and len(self._conclusions) <= WRITE_MAX

    def concerns(self, task_id: UUID) -> bool:
        """Say whether something about this task is not durable yet."""
        return task_id in self._conclusions or task_id in self._cancels or task_id in self._ids_writing

    def conclude(self, conclusion: Conclusion) -> None:
        """Have what became of a task written; it replaces what was not given to a write before."""
        self._conclusions[conclusion.task.id] = conclusion

    def acknowledge(self, worker: str, run: RunRef) -> None:
        """Have a worker told when the conclusion of this run is durable."""
        self._ends[run.task_id] = (worker, run)

    def awaits(self, run: RunRef) -> bool:
        """Say whether the end of this run is known and not durable yet."""
        found = self._ends.get(run.task_id)
        return (found is not None and found[1] == run) or run in self._acks_writing

    def cancel(self, task_id: UUID) -> None:
        """Cancel a task that is not in memory. Safe to repeat."""
        conclusion = self._conclusions.get(task_id)
        if conclusion is None:
            self._cancels[task_id] = None
        elif conclusion.state is TaskState.PENDING:
            self._conclusions[task_id] = cancelled(conclusion.task)

    def dispatch(self, dispatch: Dispatch) -> None:
        """Have a dispatch written."""
        self._dispatches.append(dispatch)

    def next_write(self) -> Write | None:
        """Return the next write, which is under way until `written`; None where one is, or where there is nothing."""
        if self._writing is not None or not (self._conclusions or self._cancels or self._dispatches):
            return None
        conclusions = _first(self._conclusions)
        cancels = _first(self._cancels)
        dispatches: list[Dispatch] = []
        if not self._conclusions:
            dispatches, self._dispatches = self._dispatches, []
        ends = [self._ends.pop(task_id) for task_id in conclusions if task_id in self._ends]
        self._acks_writing = {run: worker for worker, run in ends}
        self._ids_writing = frozenset((*conclusions, *cancels))
        self._writing = Write(tuple(conclusions.values()), tuple(cancels), tuple(dispatches))
        return self._writing

    def written(self) -> tuple[Write, dict[RunRef, str]]:
        """End the write that is under way; return it, and the ends that are durable by it with their workers."""
        assert self._writing is not None, "no write is under way"
        write, acks = self._writing, self._acks_writing
        self._writing, self._acks_writing, self._ids_writing = None, {}, frozenset()
        return write, acks


def _first(waiting: dict[UUID, _Value]) -> dict[UUID, _Value]:
    """Take out the oldest `WRITE_MAX`."""
    first = dict(islice(waiting.items(), WRITE_MAX))
    if len(first) == len(waiting):
        waiting.clear()
    else:
        for task_id in first:
            del waiting[task_id]
    return first
