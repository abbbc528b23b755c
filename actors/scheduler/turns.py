"""Whose turn it is: rank, fairness between owners, and how many of a name may run at once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from actors.scheduler.heap import Heap

Turn = tuple[float, float]


class _Owner:
    """For whom tasks run. ``active`` are his flows that may be looked at, ``parked`` those whose name was at its
    limit when they last were."""

    __slots__ = ("active", "id", "last_start", "parked", "running")

    def __init__(self, id: str) -> None:
        self.id = id
        self.running = 0
        self.last_start = float("-inf")
        self.active: dict[str, _Flow] = {}
        self.parked: dict[str, _Flow] = {}

    @property
    def rank(self) -> float:
        return min([flow.rank for flow in self.active.values()])


class _Name:
    """How many tasks of a name run, and the owners whose flow waits for one of them to end."""

    __slots__ = ("id", "limit", "parked", "running")

    def __init__(self, id: str, limit: int) -> None:
        self.id = id
        self.limit = limit
        self.running = 0
        self.parked: Heap[str, Turn] = Heap()


class _Flow:
    """The tasks of one owner and one name; ``rank`` is that of the first."""

    __slots__ = ("name", "rank", "tasks")

    def __init__(self, name: _Name) -> None:
        self.name = name
        self.rank = float("inf")
        self.tasks: Heap[UUID, float] = Heap()

    def reckon(self) -> bool:
        """Find the rank anew; False where no task is left."""
        first = self.tasks.first()
        if first is not None:
            self.rank = first[0]
        return first is not None


class Turns:
    """Tasks that may run, in the order in which they should.

    The task of the smallest (turn, rank) is next, where turn = max(rank, last start of its owner) + ``step_s`` for each
    run of its owner. So an owner's own tasks go by rank; owners with much waiting take turns by what they have running
    (max-min fairness), whatever the age of their crowd; and after its turn no task that comes later goes before a
    task, and of each other owner at most one that waited. Tasks whose name has ``limit`` runs are passed over.

    O(log n) for each task and O(names) of its owner. A flow whose name is at its limit is put aside, and the first of
    them comes back when a run ends, so those that cannot run cost nothing.
    """

    def __init__(self, limit: Callable[[str], int], step_s: float) -> None:
        self._limit = limit
        self._step_s = step_s
        self._names: dict[str, _Name] = {}
        self._owners: dict[str, _Owner] = {}
        self._queue: Heap[str, Turn] = Heap()
        self._changed: set[str] = set()
        self._names_parked: dict[str, _Name] = {}

    def add(self, owner_id: str, name_id: str, task_id: UUID, rank: float) -> None:
        """Have a task wait for its turn."""
        owner = self._owner(owner_id)
        flow = owner.active.get(name_id) or owner.parked.get(name_id)
        if flow is None:
            flow = owner.active[name_id] = _Flow(self._name(name_id))
        flow.tasks.push(task_id, rank)
        flow.rank = min(flow.rank, rank)
        self._changed.add(owner_id)

    def remove(self, owner_id: str, name_id: str, task_id: UUID) -> bool:
        """Take a task out; False where it does not wait here."""
        owner = self._owners.get(owner_id)
        flow = None if owner is None else owner.active.get(name_id) or owner.parked.get(name_id)
        if owner is None or flow is None or not flow.tasks.remove(task_id):
            return False
        self._changed.add(owner_id)
        if not flow.reckon():
            self._drop(owner, flow)
            self._forget(owner)
        return True

    def next(self, now: float) -> UUID | None:
        """Take the task whose turn it is, which runs from now on; None where none may."""
        while True:
            if self._changed:
                self._settle()
            self._unpark()
            first = self._queue.first()
            if first is None:
                return None
            turn, owner = first[0], self._owners[first[1]]
            flow = self._best(owner)
            if flow is None:
                self._queue.remove(owner.id)
                continue
            due = self._turn(owner, flow.rank)
            if due > turn:
                self._queue.push(owner.id, due)
                continue
            task_id = flow.tasks.pop()
            if not flow.reckon():
                self._drop(owner, flow)
            self._run(owner, flow.name, now)
            return task_id

    def has_room(self, name_id: str) -> bool:
        """Say whether one more of a name may run."""
        name = self._name(name_id)
        return name.running < name.limit

    def started(self, owner_id: str, name_id: str, now: float) -> None:
        """Count a run of a task that was not taken by `next`."""
        self._run(self._owner(owner_id), self._name(name_id), now)

    def ended(self, owner_id: str, name_id: str) -> None:
        """Count a run as over."""
        owner = self._owners[owner_id]
        owner.running -= 1
        self._names[name_id].running -= 1
        self._changed.add(owner_id)
        self._forget(owner)

    def _run(self, owner: _Owner, name: _Name, now: float) -> None:
        name.running += 1
        owner.running += 1
        owner.last_start = now
        self._changed.add(owner.id)

    def _turn(self, owner: _Owner, rank: float) -> Turn:
        return max(rank, owner.last_start) + owner.running * self._step_s, rank

    def _settle(self) -> None:
        """Reckon anew the turns of those with whom something has changed."""
        for owner_id in self._changed:
            owner = self._owners.get(owner_id)
            if owner is None:
                continue
            if owner.active:
                self._queue.push(owner_id, self._turn(owner, owner.rank))
            for flow in owner.parked.values():
                flow.name.parked.push(owner_id, self._turn(owner, flow.rank))
        self._changed.clear()

    def _unpark(self) -> None:
        """Bring back the first flow of each name that has room again."""
        if not self._names_parked:
            return
        for name in [name for name in self._names_parked.values() if name.running < name.limit]:
            owner = self._owners[name.parked.pop()]
            if not name.parked:
                del self._names_parked[name.id]
            owner.active[name.id] = owner.parked.pop(name.id)
            self._queue.push(owner.id, self._turn(owner, owner.rank))

    def _best(self, owner: _Owner) -> _Flow | None:
        """Return the owner's flow with the smallest rank whose name has room, and put aside those without."""
        best, full = None, []
        for flow in owner.active.values():
            if flow.name.running >= flow.name.limit:
                full.append(flow)
            elif best is None or flow.rank < best.rank:
                best = flow
        for flow in full:
            del owner.active[flow.name.id]
            owner.parked[flow.name.id] = flow
            flow.name.parked.push(owner.id, self._turn(owner, flow.rank))
            self._names_parked[flow.name.id] = flow.name
        return best

    def _drop(self, owner: _Owner, flow: _Flow) -> None:
        """Forget a flow that has become empty."""
        if owner.active.pop(flow.name.id, None) is None:
            del owner.parked[flow.name.id]
            flow.name.parked.remove(owner.id)
            if not flow.name.parked:
                del self._names_parked[flow.name.id]
        elif not owner.active:
            self._queue.remove(owner.id)

    def _forget(self, owner: _Owner) -> None:
        if not owner.running and not owner.active and not owner.parked:
            del self._owners[owner.id]

    def _name(self, name_id: str) -> _Name:
        name = self._names.get(name_id)
        if name is None:
            name = self._names[name_id] = _Name(name_id, self._limit(name_id))
        return name

    def _owner(self, owner_id: str) -> _Owner:
        owner = self._owners.get(owner_id)
        if owner is None:
            owner = self._owners[owner_id] = _Owner(owner_id)
        return owner
