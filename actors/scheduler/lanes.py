"""Lanes: tasks that share a key start one after the other."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

LaneKey = tuple[str, str]
"""The task's name and its lane: two names never share a lane."""


class _Lane:
    __slots__ = ("holders", "waiting", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.holders: set[UUID] = set()
        self.waiting: OrderedDict[UUID, None] = OrderedDict()


class Lanes:
    """Places by lane: each lane has as many as it is wide. Whoever finds none waits in the order of coming.

    A place is held from when a task may start until `leave`: through its run, and through the pause after a failure
    where the lane waits for it.
    """

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, _Lane] = {}

    def enter(self, key: LaneKey, width: int, task_id: UUID, *, first: bool) -> bool:
        """Take a place and return True, or wait for one: behind the others, or before them where it is ``first``.

        Who holds a place already keeps it.
        """
        lane = self._lanes.setdefault(key, _Lane(width))
        if task_id in lane.holders:
            return True
        if len(lane.holders) < lane.width:
            lane.holders.add(task_id)
            return True
        lane.waiting[task_id] = None
        if first:
            lane.waiting.move_to_end(task_id, last=False)
        return False

    def occupy(self, key: LaneKey, width: int, task_id: UUID) -> None:
        """Give a place to what runs already, even where all are taken."""
        self._lanes.setdefault(key, _Lane(width)).holders.add(task_id)

    def leave(self, key: LaneKey, task_id: UUID) -> UUID | None:
        """Give up the place, or the wait for it; return who got the place. Safe to repeat."""
        lane = self._lanes.get(key)
        if lane is None:
            return None
        lane.holders.discard(task_id)
        lane.waiting.pop(task_id, None)
        if lane.waiting and len(lane.holders) < lane.width:
            successor, _ = lane.waiting.popitem(last=False)
            lane.holders.add(successor)
            return successor
        if not lane.holders and not lane.waiting:
            del self._lanes[key]
        return None

    def holds(self, key: LaneKey, task_id: UUID) -> bool:
        """Say whether the task holds a place."""
        lane = self._lanes.get(key)
        return lane is not None and task_id in lane.holders

    def waiting(self, key: LaneKey) -> int:
        """Return how many wait for a place."""
        lane = self._lanes.get(key)
        return 0 if lane is None else len(lane.waiting)
