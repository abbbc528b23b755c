"""The workers, and what each of them runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from actors.scheduler.definition import Kind
from actors.scheduler.effects import Dispatch, RunRef
from actors.scheduler.task import Task


class Worker:
    """One life of a worker. ``absent_since`` is None while there is a connection."""

    __slots__ = ("absent_since", "incarnation", "name", "rooms", "running", "runs")

    def __init__(self, name: str, incarnation: str) -> None:
        self.name = name
        self.incarnation = incarnation
        self.rooms: Mapping[Kind, int] = {}
        self.running = dict.fromkeys(Kind, 0)
        self.runs: dict[UUID, Run] = {}
        self.absent_since: float | None = None

    def free(self, kind: Kind) -> int:
        """Return how many runs of that kind it can begin."""
        return max(0, self.rooms.get(kind, 0) - self.running[kind])


class Run:
    """One run of a task.

    ``sent``: the worker may have begun it. ``is_confirmed``: it was sent over the connection that there is now, or its
    worker has said over this one that it runs.
    """

    __slots__ = ("cancel_asked", "dispatch_id", "is_confirmed", "kind", "sent", "task", "worker")

    def __init__(self, task: Task, kind: Kind, worker: Worker, dispatch_id: UUID, *, sent: bool) -> None:
        self.task = task
        self.kind = kind
        self.worker = worker
        self.dispatch_id = dispatch_id
        self.sent = sent
        self.is_confirmed = False
        self.cancel_asked = False

    def is_of(self, worker: str, incarnation: str, ref: RunRef) -> bool:
        """Say whether it is the run that this life of a worker knows by that reference."""
        return (
            self.sent
            and self.dispatch_id == ref.dispatch_id
            and self.worker.name == worker
            and self.worker.incarnation == incarnation
        )


class Fleet:
    """Workers by name, and each task's one current run.

    For suspects one worker at a time is reserved: it gets nothing else, finishes what it runs, for a bounded time, and
    then takes them one by one.
    """

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._runs: dict[UUID, Run] = {}
        self._reserved: Worker | None = None
        self._reserved_at = 0.0
        self._suspect: UUID | None = None

    def find(self, name: str, incarnation: str) -> Worker | None:
        """Return that life of a worker, None where it is not the current one."""
        worker = self._workers.get(name)
        return worker if worker is not None and worker.incarnation == incarnation else None

    def named(self, name: str) -> Worker | None:
        """Return the current life of a worker."""
        return self._workers.get(name)

    def add(self, worker: Worker) -> None:
        """Have it be the current life of its name. The former one must be removed before."""
        assert worker.name not in self._workers, f"{worker.name} is there already"
        self._workers[worker.name] = worker

    def remove(self, worker: Worker) -> list[Run]:
        """Forget a worker; return what it ran, which is still to be finished."""
        del self._workers[worker.name]
        if self._reserved is worker:
            self._reserved = None
        return list(worker.runs.values())

    def run(self, task_id: UUID) -> Run | None:
        """Return a task's run."""
        return self._runs.get(task_id)

    def start(self, run: Run) -> None:
        """Count a run."""
        assert run.task.id not in self._runs, f"{run.task.id} runs already"
        self._runs[run.task.id] = run
        run.worker.runs[run.task.id] = run
        run.worker.running[run.kind] += 1

    def finish(self, run: Run) -> None:
        """Count a run no more."""
        del self._runs[run.task.id]
        del run.worker.runs[run.task.id]
        run.worker.running[run.kind] -= 1
        if self._suspect == run.task.id:
            self._suspect = None

    def dispatches(self) -> list[Dispatch]:
        """Return all runs, as they were dispatched."""
        tasks: dict[tuple[UUID, str, str], list[Task]] = {}
        for run in self._runs.values():
            key = (run.dispatch_id, run.worker.name, run.worker.incarnation)
            tasks.setdefault(key, []).append(run.task)
        return [Dispatch(*key, tuple(each)) for key, each in tasks.items()]

    def takers(self, kind: Kind) -> list[Worker]:
        """Return the workers that can begin a run now."""
        return [
            worker
            for worker in self._workers.values()
            if worker.absent_since is None and worker is not self._reserved and worker.free(kind) > 0
        ]

    def silent(self, now: float, silence_s: float) -> list[Worker]:
        """Return the workers that have been without connection for that long."""
        return [
            worker
            for worker in self._workers.values()
            if worker.absent_since is not None and now - worker.absent_since >= silence_s
        ]

    def place_for_suspect(self, now: float, drain_s: float) -> Worker | None:
        """Return the worker that can take a suspect now; None while another one runs or its worker drains."""
        if self._reserved is None:
            takers = self.takers(Kind.IO)
            if not takers:
                return None
            self._reserved = min(takers, key=lambda worker: len(worker.runs))
            self._reserved_at = now
        worker = self._reserved
        is_drained = not worker.runs or now - self._reserved_at >= drain_s
        is_free = worker.absent_since is None and self._suspect is None and worker.free(Kind.IO) > 0
        return worker if is_free and is_drained else None

    def runs_suspect(self, task_id: UUID) -> None:
        """Note that this run, on the reserved worker, is a suspect's."""
        self._suspect = task_id

    def release_place(self) -> None:
        """Give the reserved worker back where no suspect runs."""
        if self._suspect is None:
            self._reserved = None


def deal(tasks: Iterable[Task], workers: list[Worker], kind: Kind) -> dict[Worker, list[Task]]:
    """Share tasks among workers: each to the one that has most room left. There must be room for all."""
    free = {worker: worker.free(kind) for worker in workers}
    hands: dict[Worker, list[Task]] = {}
    for task in tasks:
        worker = max(free, key=free.__getitem__)
        assert free[worker] > 0, "more tasks than room"
        free[worker] -= 1
        hands.setdefault(worker, []).append(task)
    return hands
