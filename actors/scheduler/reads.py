"""Reads of the table that overlap with writes."""

from __future__ import annotations

from collections import deque
from uuid import UUID


class Reads:
    """Tell which rows of a read are out of date.

    A read that began before a write was acknowledged may show a task as it was before. What was `written` is kept
    for as long as such a read is under way.
    """

    def __init__(self) -> None:
        self._moment = 0
        self._open: set[int] = set()
        self._written_at: dict[UUID, int] = {}
        self._order: deque[tuple[int, UUID]] = deque()

    def begin(self) -> int:
        """Return the number of a read that begins now."""
        self._moment += 1
        self._open.add(self._moment)
        return self._moment

    def is_stale(self, read: int, task_id: UUID) -> bool:
        """Say whether this row was written after that read began."""
        return self._written_at.get(task_id, 0) > read

    def end(self, read: int) -> None:
        """Forget a read, and what was kept for it. Safe to repeat."""
        self._open.discard(read)
        oldest = min(self._open, default=self._moment + 1)
        while self._order and self._order[0][0] < oldest:
            moment, task_id = self._order.popleft()
            if self._written_at[task_id] == moment:
                del self._written_at[task_id]

    def written(self, task_ids: list[UUID]) -> None:
        """Note rows whose write is acknowledged."""
        if not self._open or not task_ids:
            return
        self._moment += 1
        for task_id in task_ids:
            self._written_at[task_id] = self._moment
            self._order.append((self._moment, task_id))
