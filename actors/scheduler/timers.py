"""Tasks that are due later."""

from __future__ import annotations

from uuid import UUID

from actors.scheduler.heap import Heap


class Timers:
    """Task ids by the time at which they are due. O(log n) each.

    ``waiting_max`` is what `is_full` goes by: whoever adds looks at it, unless what he adds must not be dropped.
    """

    def __init__(self, waiting_max: int) -> None:
        assert waiting_max > 0
        self._waiting_max = waiting_max
        self._heap: Heap[UUID, float] = Heap()

    def __len__(self) -> int:
        return len(self._heap)

    def __contains__(self, task_id: UUID) -> bool:
        return task_id in self._heap

    @property
    def is_full(self) -> bool:
        """Whether no more should be added."""
        return len(self._heap) >= self._waiting_max

    @property
    def next_at(self) -> float | None:
        """When the first is due; None where there is none."""
        first = self._heap.first()
        return None if first is None else first[0]

    def add(self, task_id: UUID, due_at: float) -> None:
        """Have it fall due then, instead of when it was due so far."""
        self._heap.push(task_id, due_at)

    def cancel(self, task_id: UUID) -> bool:
        """Take it out; False where it does not wait."""
        return self._heap.remove(task_id)

    def due(self, now: float) -> list[UUID]:
        """Take out all that are due, earliest first."""
        due = []
        while (first := self._heap.first()) is not None and first[0] <= now:
            due.append(self._heap.pop())
        return due
