"""What stays in the table until there is room for it, or until its time comes near."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from actors.scheduler.effects import Position
from actors.scheduler.lanes import LaneKey
from actors.scheduler.task import Task

HORIZON_S = 60.0
"""What is due later than this stays in the table."""
PAGE = 2_000
_PAUSE_MIN_S = 1.0
_PAUSE_MAX_S = 30.0
_FIRST: Position = (float("-inf"), UUID(int=0))


def position(task: Task) -> Position:
    """Return where a task stands in the table's order."""
    return task.run_at, task.id


class Overflow:
    """The pending tasks of one priority that are not in memory.

    Invariant: each of them stands after `lower`. Passes go through the table in the order of time, page by page, while
    there is room, up to `HORIZON_S` ahead; what has to stay there nevertheless, since its owner or its lane has no
    room, is looked at again in the next pass, which comes after a pause where this one has won nothing.
    A lane that had to leave a task there takes none of those behind it in the same pass, so its order is kept.
    """

    def __init__(self, *, horizon_s: float = HORIZON_S, page: int = PAGE) -> None:
        assert page > 0
        self._horizon_s = horizon_s
        self._page = page
        self._cursor = _FIRST
        self._again: Position | None = None
        self._until: float | None = None
        self._closed: set[LaneKey] = set()
        self._in_pass = False
        self._won = False
        self._pause_s = _PAUSE_MIN_S
        self._not_before = float("-inf")

    @property
    def lower(self) -> Position:
        """What stands up to here is in memory or has ended."""
        return self._cursor if self._again is None else min(self._cursor, self._again)

    @property
    def is_reading(self) -> bool:
        """Whether a page is under way."""
        return self._until is not None

    def is_near(self, run_at: float, now: float) -> bool:
        """Say whether something due then should be in memory."""
        return run_at <= now + self._horizon_s

    def leave(self, task: Task) -> None:
        """Note a pending task that is only in the table from now on."""
        self.leave_after((task.run_at, UUID(int=max(0, task.id.int - 1))))

    def leave_after(self, before: Position) -> None:
        """Note that there may be pending tasks after a position that are only in the table."""
        if self._until is not None or before < self._cursor:
            self._again = before if self._again is None else min(self._again, before)

    def refuse(self, task: Task) -> None:
        """Note a task of the page that cannot be taken in, and close its lane for this pass."""
        self.leave(task)
        if task.lane is not None:
            self._closed.add((task.name, task.lane))

    def is_closed(self, task: Task) -> bool:
        """Say whether an earlier task of its lane stayed in the table in this pass."""
        return task.lane is not None and (task.name, task.lane) in self._closed

    def next_page(self, now: float, room: int) -> tuple[Position, float, int] | None:
        """Return after which position, until which time and how many tasks to read now; None: nothing.

        The page is under way until `arrived` or `failed`.
        """
        if self._until is not None or room < self._page or now < self._not_before:
            return None
        if self._again is not None and not self._in_pass:
            self._cursor, self._again = min(self._cursor, self._again), None
        if self._cursor[0] > now + self._horizon_s / 2:
            return None
        self._until = now + self._horizon_s
        return self._cursor, self._until, self._page

    def failed(self, now: float) -> None:
        """The page could not be read: it is, after a pause."""
        self._until = None
        self._not_before = now + _PAUSE_MIN_S

    def arrived(self, tasks: Sequence[Task], now: float, *, won: bool) -> None:
        """Go on after the page, all of whose tasks were taken in or refused; ``won``: one was taken in."""
        assert self._until is not None, "no page was asked for"
        until, self._until = self._until, None
        self._won = self._won or won
        self._in_pass = len(tasks) >= self._page
        self._cursor = position(tasks[-1]) if self._in_pass else (until, UUID(int=0))
        if self._again is not None and self._again >= self._cursor:
            self._again = None  # it is met later in this pass
        if self._in_pass:
            return
        if self._again is not None:
            self._pause_s = _PAUSE_MIN_S if self._won else min(2 * self._pause_s, _PAUSE_MAX_S)
            self._not_before = now + self._pause_s
        self._won = False
        self._closed.clear()
