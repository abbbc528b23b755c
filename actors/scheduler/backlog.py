"""The pending tasks that do not run: in memory as far as there is room, the rest in the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from actors.scheduler.definition import Kind, TaskDefinition
from actors.scheduler.effects import Fetch
from actors.scheduler.lifecycle import Conclusion
from actors.scheduler.overflow import HORIZON_S, PAGE, Overflow, position
from actors.scheduler.queue import AGEING_S, LANE_WAITING_MAX, WAITING_MAX, ReadyQueue
from actors.scheduler.reads import Reads
from actors.scheduler.registry import Registry
from actors.scheduler.task import Priority, Task, TaskState
from actors.scheduler.timers import Timers

DELAYED_MAX = 100_000
UNKNOWN_NAMES_MAX = 1_000


class Backlog:
    """Ready tasks in a queue for each kind, delayed ones under timers, the rest noted as being in the table.

    Each pending task that does not run and that ``is_elsewhere`` does not know (since its end is being written) is held
    here, or stands after the `lower` position of its priority's `Overflow` and is fetched in time. Tasks of names that
    the registry does not have stay in the table: a newer version may know them.
    """

    def __init__(
        self,
        registry: Registry[Any],
        is_elsewhere: Callable[[UUID], bool],
        *,
        ageing_s: float = AGEING_S,
        waiting_max: int = WAITING_MAX,
        lane_waiting_max: int = LANE_WAITING_MAX,
        delayed_max: int = DELAYED_MAX,
        page: int = PAGE,
        horizon_s: float = HORIZON_S,
    ) -> None:
        assert waiting_max >= 2 * page, "an owner's half holds a page"
        self.queues = {
            kind: ReadyQueue(
                registry.find, ageing_s=ageing_s, waiting_max=waiting_max, lane_waiting_max=lane_waiting_max
            )
            for kind in Kind
        }
        self.unknown_names: dict[str, int] = {}
        self._registry = registry
        self._is_elsewhere = is_elsewhere
        self._timers = Timers(delayed_max)
        self._overflows = [Overflow(horizon_s=horizon_s, page=page) for _ in Priority]
        self._behind_page: list[list[Task]] = [[] for _ in Priority]
        self._page = page
        self._reads = Reads()
        self._held: dict[UUID, Task] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, task_id: UUID) -> bool:
        return task_id in self._held

    @property
    def delayed(self) -> int:
        """How many wait for their time, of those in memory."""
        return len(self._timers)

    @property
    def next_at(self) -> float | None:
        """When the first of them is due."""
        return self._timers.next_at

    def begin_read(self) -> int:
        """Return the number of a read of the table that begins now."""
        return self._reads.begin()

    def end_read(self, read: int) -> None:
        """Forget a read that failed. Safe to repeat."""
        self._reads.end(read)

    def discovered(self, read: int, tasks: Sequence[Task], now: float, *, overflowed: bool = False) -> None:
        """Take in what a discovery has shown, in the order of the table; ``overflowed``: more came after these."""
        if overflowed:
            for overflow in self._overflows:
                overflow.leave_after(position(tasks[-1]))
        for task in tasks:
            if self._is_new(read, task):
                self._take_in(task, now)
        self._reads.end(read)

    def next_fetches(self, now: float) -> list[Fetch]:
        """Return what to read now since there is room; each is to be answered by `fetched` or `fetch_failed`."""
        fetches = []
        for priority, overflow in enumerate(self._overflows):
            page = overflow.next_page(now, max(queue.room(priority) for queue in self.queues.values()))
            if page is not None:
                fetches.append(Fetch(self._reads.begin(), priority, *page))
        return fetches

    def fetched(self, fetch: Fetch, tasks: Sequence[Task], now: float) -> None:
        """Take in a page, in the order of the table."""
        overflow = self._overflows[fetch.priority]
        won = False
        for task in tasks:
            definition = self._registry.find(task.name)
            if definition is None or not self._is_new(fetch.read, task):
                continue
            if task.run_at > now:
                taken = self._delay(task, now)
            else:
                taken = not overflow.is_closed(task) and self._queue(definition, task)
            if not taken:
                overflow.refuse(task)
            won = won or taken
        overflow.arrived(tasks, now, won=won)
        self._reads.end(fetch.read)
        behind, self._behind_page[fetch.priority] = self._behind_page[fetch.priority], []
        for task in behind:
            if self._is_new(fetch.read, task):
                self._take_in(task, now)

    def fetch_failed(self, fetch: Fetch, now: float) -> None:
        """Read the page again later."""
        overflow = self._overflows[fetch.priority]
        overflow.failed(now)
        self._reads.end(fetch.read)
        behind, self._behind_page[fetch.priority] = self._behind_page[fetch.priority], []
        for task in behind:
            overflow.leave(task)

    def wake(self, now: float) -> None:
        """Have those run whose time has come."""
        for task_id in self._timers.due(now):
            task = self._held.pop(task_id)
            if task.attempts or task.orphaned:
                self._add(task)
            elif not self._queue(self._definition(task), task):
                self._overflows[task.priority].leave(task)

    def take(self, kind: Kind, now: float, room: int) -> list[Task]:
        """Take up to ``room`` tasks to run."""
        taken = self.queues[kind].take(now, room)
        for task in taken:
            del self._held[task.id]
        return taken

    def take_suspect(self, kind: Kind, now: float) -> Task | None:
        """Take a suspect to run."""
        task = self.queues[kind].take_suspect(now)
        if task is not None:
            del self._held[task.id]
        return task

    def adopt(self, task: Task, now: float) -> None:
        """Count a task as running that a former owner started."""
        if self._held.pop(task.id, None) is not None:
            self._withdraw(task)
        self.queues[self._definition(task).kind].adopt(task, now)

    def ended(self, task: Task, *, keeps_place: bool) -> None:
        """Count its run as over."""
        self.queues[self._definition(task).kind].ended(task.id, keeps_place=keeps_place)

    def run_again(self, task: Task, now: float) -> None:
        """Hold a task that ran, until its time. One that no lane waits for may be left to the table (`written`)."""
        if task.run_at <= now:
            self._add(task)
        elif self.queues[self._definition(task).kind].holds_place(task):
            self._time(task)
        else:
            self._delay(task, now)

    def put_back(self, task: Task) -> None:
        """Hold a task that was taken and did not run."""
        self._add(task)

    def hold_head(self, task: Task, now: float) -> None:
        """Hold a task that failed or was orphaned under a former owner, and have its lane wait, if it is strict."""
        definition = self._registry.find(task.name)
        if definition is None or definition.lane_width > 1 or task.id in self._held or self._is_elsewhere(task.id):
            return
        self.queues[definition.kind].hold_place(task)
        self.run_again(task, now)

    def cancel(self, task_id: UUID) -> Task | None:
        """Take out a task that waits; None where it is not held."""
        task = self._held.pop(task_id, None)
        if task is not None:
            self._withdraw(task)
        return task

    def written(self, conclusions: Iterable[Conclusion], cancels: Iterable[UUID]) -> None:
        """Note what is durable: reads that began before are out of date there, and what is not held is in the table."""
        concluded = list(conclusions)
        self._reads.written([*(each.task.id for each in concluded), *cancels])
        for task, state, _ in concluded:
            if state is TaskState.PENDING and task.id not in self._held and not self._is_elsewhere(task.id):
                self._overflows[task.priority].leave(task)

    def _is_new(self, read: int, task: Task) -> bool:
        return not (task.id in self._held or self._is_elsewhere(task.id) or self._reads.is_stale(read, task.id))

    def _take_in(self, task: Task, now: float) -> None:
        """Hold a task that has just become known, or leave it in the table."""
        definition = self._registry.find(task.name)
        if definition is None:
            if task.name in self.unknown_names or len(self.unknown_names) < UNKNOWN_NAMES_MAX:
                self.unknown_names[task.name] = self.unknown_names.get(task.name, 0) + 1
            return
        overflow = self._overflows[task.priority]
        behind = self._behind_page[task.priority]
        if task.run_at > now:
            taken = self._delay(task, now)
        elif task.lane is not None and position(task) > overflow.lower:
            # Earlier ones of its lane may be in the table still: it comes after them.
            taken = overflow.is_reading and len(behind) < self._page
            if taken:
                behind.append(task)
        else:
            taken = self._queue(definition, task)
        if not taken:
            overflow.leave(task)

    def _queue(self, definition: TaskDefinition[Any, Any], task: Task) -> bool:
        if not self.queues[definition.kind].admits(task):
            return False
        self._add(task)
        return True

    def _delay(self, task: Task, now: float) -> bool:
        if self._timers.is_full or not self._overflows[task.priority].is_near(task.run_at, now):
            return False
        self._time(task)
        return True

    def _add(self, task: Task) -> None:
        self._held[task.id] = task
        self.queues[self._definition(task).kind].add(task)

    def _time(self, task: Task) -> None:
        self._held[task.id] = task
        self._timers.add(task.id, task.run_at)

    def _withdraw(self, task: Task) -> None:
        queue = self.queues[self._definition(task).kind]
        if self._timers.cancel(task.id):
            queue.leave_lane(task)
        else:
            queue.cancel(task.id)

    def _definition(self, task: Task) -> TaskDefinition[Any, Any]:
        definition = self._registry.find(task.name)
        assert definition is not None, f"there is no task named {task.name}"
        return definition
