"""What is ready to run, and what runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from actors.scheduler.definition import TaskDefinition
from actors.scheduler.heap import Heap
from actors.scheduler.lanes import Lanes
from actors.scheduler.lifecycle import is_suspect
from actors.scheduler.task import Priority, Task
from actors.scheduler.turns import Turns

AGEING_S = 10.0
WAITING_MAX = 50_000
LANE_WAITING_MAX = 5_000


class ReadyQueue:
    """Tasks that may run, in the order in which they should.

    A task's rank is ``run_at + level * ageing_s``, which never changes: one of low priority that has waited three times
    ``ageing_s`` goes before any critical one of its owner that comes then. Between owners see `Turns`: a run more
    weighs as much as one level of priority.

    ``concurrency_max`` of a definition bounds its runs. A lane gives its places in the order of coming; one of width 1
    waits for its head through the pause after a failure (`ended` with ``keeps_place``), so its order is strict. Wider
    lanes do not wait: a task that failed goes first when it is due again. Suspects (see `is_suspect`) are not in
    `take`: `take_suspect` hands them out one by one.

    The rest is bounded by whoever asks `admits` before `add`: ``waiting_max`` for each priority, of which one owner
    fills half, and ``lane_waiting_max`` for each lane. What ran before is added without asking.
    """

    def __init__(
        self,
        find: Callable[[str], TaskDefinition[Any, Any] | None],
        *,
        ageing_s: float = AGEING_S,
        waiting_max: int = WAITING_MAX,
        lane_waiting_max: int = LANE_WAITING_MAX,
    ) -> None:
        assert ageing_s > 0
        assert waiting_max >= 2
        self._find = find
        self._ageing_s = ageing_s
        self._waiting_max = waiting_max
        self._lane_waiting_max = lane_waiting_max
        self._waiting: dict[UUID, Task] = {}
        self._running: dict[UUID, Task] = {}
        self._turns = Turns(lambda name: self._definition(name).concurrency_max, ageing_s)
        self._lanes = Lanes()
        self._suspects: Heap[UUID, float] = Heap()
        self._sizes = [0] * len(Priority)
        self._sizes_by_owner: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many wait, by priority; those that wait for their lane included."""
        return tuple(self._sizes)

    @property
    def running(self) -> int:
        """How many run."""
        return len(self._running)

    @property
    def suspects(self) -> int:
        """How many suspects wait to be taken."""
        return len(self._suspects)

    def room(self, priority: int) -> int:
        """Return how many more of this priority may be added."""
        return max(0, self._waiting_max - self._sizes[priority])

    def is_full(self, priority: int) -> bool:
        """Say whether no more of this priority should be added."""
        return self._sizes[priority] >= self._waiting_max

    def admits(self, task: Task) -> bool:
        """Say whether there is room for it: of its priority, for its owner and in its lane."""
        if self.is_full(task.priority):
            return False
        if self._sizes_by_owner.get((task.owner, task.priority), 0) >= self._waiting_max // 2:
            return False
        return task.lane is None or self._lanes.waiting((task.name, task.lane)) < self._lane_waiting_max

    def add(self, task: Task) -> None:
        """Add a task that may run from now on. One that failed or was orphaned before goes first in its lane."""
        assert not self._knows(task.id), f"{task.id} is there already"
        self._waiting[task.id] = task
        self._count(task, 1)
        if task.lane is not None:
            width = self._definition(task.name).lane_width
            again = task.attempts > 0 or task.orphaned > 0
            if not self._lanes.enter((task.name, task.lane), width, task.id, first=again):
                return
        self._offer(task)

    def take(self, now: float, room: int) -> list[Task]:
        """Take up to ``room`` tasks, which run from now on until `ended`."""
        taken: list[Task] = []
        while len(taken) < room and (task_id := self._turns.next(now)) is not None:
            taken.append(self._start(task_id))
        return taken

    def take_suspect(self, now: float) -> Task | None:
        """Take the suspect whose turn it is, None where there is none or its name has as many runs as it may."""
        first = self._suspects.first()
        if first is None or not self._turns.has_room(self._waiting[first[1]].name):
            return None
        task = self._start(self._suspects.pop())
        self._turns.started(task.owner, task.name, now)
        return task

    def adopt(self, task: Task, now: float) -> None:
        """Count a task as running that was started by another."""
        assert not self._knows(task.id), f"{task.id} is there already"
        self._running[task.id] = task
        self._turns.started(task.owner, task.name, now)
        self.hold_place(task)

    def ended(self, task_id: UUID, *, keeps_place: bool = False) -> None:
        """Count a run as over. Its place in its lane goes to the next, unless the task keeps it until it runs again."""
        task = self._running.pop(task_id)
        self._turns.ended(task.owner, task.name)
        if not keeps_place:
            self.leave_lane(task)

    def cancel(self, task_id: UUID) -> Task | None:
        """Take out a task that waits; None where it does not."""
        task = self._waiting.pop(task_id, None)
        if task is None:
            return None
        self._count(task, -1)
        if not self._suspects.remove(task_id):
            self._turns.remove(task.owner, task.name, task_id)
        self.leave_lane(task)
        return task

    def hold_place(self, task: Task) -> None:
        """Give a place in its lane to a task that runs already, or is to run again later."""
        if task.lane is not None:
            self._lanes.occupy((task.name, task.lane), self._definition(task.name).lane_width, task.id)

    def holds_place(self, task: Task) -> bool:
        """Say whether others of its lane wait for it."""
        return task.lane is not None and self._lanes.holds((task.name, task.lane), task.id)

    def leave_lane(self, task: Task) -> None:
        """Give its place, or its wait for one, up. Safe to repeat."""
        if task.lane is None:
            return
        successor = self._lanes.leave((task.name, task.lane), task.id)
        if successor is not None:
            self._offer(self._waiting[successor])

    def _knows(self, task_id: UUID) -> bool:
        return task_id in self._waiting or task_id in self._running

    def _start(self, task_id: UUID) -> Task:
        task = self._waiting.pop(task_id)
        self._running[task_id] = task
        self._count(task, -1)
        return task

    def _offer(self, task: Task) -> None:
        """Let it be taken."""
        rank = task.run_at + task.priority * self._ageing_s
        if is_suspect(task):
            self._suspects.push(task.id, rank)
        else:
            self._turns.add(task.owner, task.name, task.id, rank)

    def _count(self, task: Task, change: int) -> None:
        self._sizes[task.priority] += change
        key = (task.owner, task.priority)
        size = self._sizes_by_owner.get(key, 0) + change
        if size:
            self._sizes_by_owner[key] = size
        else:
            del self._sizes_by_owner[key]

    def _definition(self, name: str) -> TaskDefinition[Any, Any]:
        definition = self._find(name)
        assert definition is not None, f"there is no task named {name}"
        return definition
