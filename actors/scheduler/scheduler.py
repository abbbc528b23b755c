"""The core of the scheduler: events in, effects out. It knows no I/O and no time but the one that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from actors.scheduler.backlog import Backlog
from actors.scheduler.definition import Kind
from actors.scheduler.effects import Dispatch, Effects, Fetch, RunEnd, RunRef
from actors.scheduler.fleet import Fleet, Run, Worker, deal
from actors.scheduler.heap import Heap
from actors.scheduler.journal import Journal
from actors.scheduler.lifecycle import Outcome, cancelled, conclude
from actors.scheduler.registry import Registry
from actors.scheduler.task import Priority, Task, TaskState

SILENCE_S = 20.0
"""How long a worker may be without connection before its runs count as orphaned. Longer than a worker goes on alone."""
DRAIN_S = 30.0
"""How long the neighbours of a suspect may go on before it starts beside them."""
STUCK_AFTER_S = 30.0
"""How long after its timeout a run may go on before its worker counts as stuck."""
DISPATCH_MAX = 1_000
"""The most tasks of one kind in one write."""


@dataclass(frozen=True, slots=True)
class Status:
    """How much there is, for people to look at. ``ready`` is by priority."""

    ready: dict[Priority, int]
    delayed: int
    running: int
    unwritten: int
    unknown_names: dict[str, int]


class TaskScheduler:
    """Which task runs when and where, for one epoch of ownership.

    After each event, and twice a second, the shell calls `step` and does what it returns. Guarantees, whatever comes
    in which order: a task has at most one run at a time; lanes and limits hold; an end that is not of a task's current
    run is ignored; a run begins only after the write that records it, which comes with or after the write of whatever
    made room for it; every pending task is in memory or will be fetched (see `Backlog`).

    ``former`` are the dispatches of earlier epochs whose tasks are pending still: a task counts as running, by its
    newest dispatch, until that worker has joined and said what it runs, is lost, or has been silent for ``silence_s``.
    ``heads`` are the tasks with a lane that failed or were orphaned and are pending: a lane of width 1 waits for them.
    Ids that ``new_id`` makes must rise. ``backlog`` passes on the bounds that `Backlog` takes.

    The shell promises: `worker_absent` is told before a worker whose connection broke is asked anew, and by answering
    a worker refuses what comes over earlier connections and from earlier epochs.
    """

    def __init__(
        self,
        registry: Registry[Any],
        now: float,
        *,
        new_id: Callable[[], UUID],
        draw: Callable[[], float],
        former: Iterable[Dispatch] = (),
        heads: Iterable[Task] = (),
        silence_s: float = SILENCE_S,
        drain_s: float = DRAIN_S,
        **backlog: Any,
    ) -> None:
        self._registry = registry
        self._new_id = new_id
        self._draw = draw
        self._silence_s = silence_s
        self._drain_s = drain_s
        self._fleet = Fleet()
        self._journal = Journal()
        self._backlog = Backlog(registry, self._is_elsewhere, **backlog)
        self._stuck_at: Heap[UUID, float] = Heap()
        self._sends: list[Dispatch] = []
        self._acks: dict[str, list[RunRef]] = {}
        self._cancels: dict[str, list[RunRef]] = {}
        self._kills: list[tuple[str, str]] = []
        self._recover(former, now)
        for task in heads:
            self._backlog.hold_head(task, now)

    @property
    def next_at(self) -> float | None:
        """When a task in memory falls due: `step` then, where that is sooner than half a second."""
        return self._backlog.next_at

    def status(self) -> Status:
        """Return how much there is."""
        queues = self._backlog.queues.values()
        return Status(
            ready={priority: sum(queue.sizes[priority] for queue in queues) for priority in Priority},
            delayed=self._backlog.delayed,
            running=sum(queue.running for queue in queues),
            unwritten=len(self._journal),
            unknown_names=dict(self._backlog.unknown_names),
        )

    def open_dispatches(self) -> list[Dispatch]:
        """Return what runs, as it was dispatched: what a new owner has to know, were it all that is in the table."""
        return self._fleet.dispatches()

    def begin_discovery(self) -> int:
        """Return the number of a discovery whose statement begins after this call."""
        return self._backlog.begin_read()

    def discovered(self, read: int, tasks: Sequence[Task], now: float, *, overflowed: bool = False) -> None:
        """Take what a discovery has shown, in the order of (run_at, id). ``overflowed``: more came after these."""
        self._backlog.discovered(read, tasks, now, overflowed=overflowed)

    def discovery_failed(self, read: int) -> None:
        """Forget a discovery."""
        self._backlog.end_read(read)

    def fetched(self, fetch: Fetch, tasks: Sequence[Task], now: float) -> None:
        """Take the answer to a fetch."""
        self._backlog.fetched(fetch, tasks, now)

    def fetch_failed(self, fetch: Fetch, now: float) -> None:
        """Have a fetch repeated later."""
        self._backlog.fetch_failed(fetch, now)

    def worker_joined(
        self,
        name: str,
        incarnation: str,
        rooms: Mapping[Kind, int],
        runs: Iterable[RunRef],
        ends: Iterable[RunEnd],
        now: float,
    ) -> None:
        """A worker has connected and answered: what it runs, and which ends it has not seen acknowledged.

        What was sent and is in neither never arrived, and is ready again. A run that is nobody's is cancelled. An
        earlier life of the worker is lost.
        """
        former = self._fleet.named(name)
        if former is not None and former.incarnation != incarnation:
            self._lose(former, now)
        worker = self._fleet.find(name, incarnation)
        if worker is None:
            worker = Worker(name, incarnation)
            self._fleet.add(worker)
        else:
            assert worker.absent_since is not None, f"{name} has joined already"
        worker.absent_since, worker.rooms = None, dict(rooms)
        ended = list(ends)
        for end in ended:
            self._confirm(worker, end.run)
        self.ended(name, incarnation, ended, now)
        self._match(worker, runs)
        for run in [run for run in worker.runs.values() if run.sent and not run.is_confirmed]:
            self._take_back(run, now)

    def worker_absent(self, name: str, incarnation: str, now: float) -> None:
        """The connection to a worker broke: nothing is sent to it until it has joined again or is lost."""
        worker = self._fleet.find(name, incarnation)
        if worker is not None and worker.absent_since is None:
            worker.absent_since = now
            for run in worker.runs.values():
                run.is_confirmed = False

    def worker_lost(self, name: str, incarnation: str, now: float) -> None:
        """A worker's process is dead: what it ran is orphaned, and runs again at once or is dead. Safe to repeat."""
        worker = self._fleet.find(name, incarnation)
        if worker is not None:
            self._lose(worker, now)

    def ended(self, name: str, incarnation: str, ends: Iterable[RunEnd], now: float) -> None:
        """Runs of a worker have ended. What is not a task's current run is acknowledged alone. Safe to repeat."""
        for end in ends:
            run = self._fleet.run(end.run.task_id)
            if run is not None and run.is_of(name, incarnation, end.run):
                self._journal.acknowledge(name, end.run)
                self._conclude(run, end.outcome, now, error=end.error, after_s=end.after_s)
            elif not self._journal.awaits(end.run):
                self._acks.setdefault(name, []).append(end.run)

    def cancel(self, task_ids: Iterable[UUID]) -> None:
        """Cancel tasks: what runs is ended in its worker, and cancelled unless it has succeeded meanwhile."""
        for task_id in task_ids:
            run = self._fleet.run(task_id)
            if run is not None:
                self._cancel_run(run)
                continue
            task = self._backlog.cancel(task_id)
            if task is None:
                self._journal.cancel(task_id)
            else:
                self._journal.conclude(cancelled(task))

    def written(self, now: float) -> None:
        """The write is durable."""
        write, ends = self._journal.written()
        self._backlog.written(write.conclusions, write.cancels)
        for ref, worker in ends.items():
            self._acks.setdefault(worker, []).append(ref)
        for dispatch in write.dispatches:
            tasks = tuple(task for task in dispatch.tasks if self._may_send(task.id, dispatch, now))
            if tasks:
                self._sends.append(dispatch._replace(tasks=tasks))

    def step(self, now: float) -> Effects:
        """Do what time brings, and return what is to be done."""
        self._backlog.wake(now)
        self._give_up_on_workers(now)
        if self._journal.takes_dispatches:
            self._dispatch(now)
        effects = Effects(
            write=self._journal.next_write(),
            sends=tuple(self._sends),
            acks=self._acks,
            cancels=self._cancels,
            fetches=tuple(self._backlog.next_fetches(now)),
            kills=tuple(self._kills),
        )
        self._sends, self._acks, self._cancels, self._kills = [], {}, {}, []
        return effects

    def _is_elsewhere(self, task_id: UUID) -> bool:
        return self._fleet.run(task_id) is not None or self._journal.concerns(task_id)

    def _recover(self, former: Iterable[Dispatch], now: float) -> None:
        """Count what earlier epochs dispatched as running, on workers that are absent."""
        dispatches = sorted(former)
        newest = {task.id: dispatch.id for dispatch in dispatches for task in dispatch.tasks}
        for dispatch in dispatches:
            worker = self._fleet.named(dispatch.worker)
            if worker is not None and worker.incarnation != dispatch.incarnation:
                self._lose(worker, now)
                worker = None
            if worker is None:
                worker = Worker(dispatch.worker, dispatch.incarnation)
                worker.absent_since = now
                self._fleet.add(worker)
            for task in dispatch.tasks:
                definition = self._registry.find(task.name)
                if newest[task.id] == dispatch.id and definition is not None:
                    self._backlog.adopt(task, now)
                    self._fleet.start(Run(task, definition.kind, worker, dispatch.id, sent=True))

    def _match(self, worker: Worker, refs: Iterable[RunRef]) -> None:
        """Confirm what a worker runs, and have it end what it should not run."""
        for ref in refs:
            run = self._confirm(worker, ref)
            if run is None:
                self._cancels.setdefault(worker.name, []).append(ref)
            elif run.cancel_asked:
                self._cancel_run(run)

    @staticmethod
    def _confirm(worker: Worker, ref: RunRef) -> Run | None:
        """Note that a worker has, or had, the run that it should have; None where it should not."""
        run = worker.runs.get(ref.task_id)
        if run is None or not run.sent or run.dispatch_id != ref.dispatch_id:
            return None
        run.is_confirmed = True
        return run

    def _dispatch(self, now: float) -> None:
        """Hand out what is ready, as far as workers have room."""
        self._dispatch_suspects(now)
        for kind in Kind:
            workers = self._fleet.takers(kind)
            room = min(DISPATCH_MAX, sum(worker.free(kind) for worker in workers))
            if room:
                for worker, tasks in deal(self._backlog.take(kind, now, room), workers, kind).items():
                    self._hand_out(worker, kind, tasks)

    def _dispatch_suspects(self, now: float) -> None:
        """Hand a suspect to a worker of its own; those that run in processes of their own have one anyway."""
        if self._backlog.queues[Kind.IO].suspects:
            place = self._fleet.place_for_suspect(now, self._drain_s)
            task = self._backlog.take_suspect(Kind.IO, now) if place is not None else None
            if place is not None and task is not None:
                self._hand_out(place, Kind.IO, [task])
                self._fleet.runs_suspect(task.id)
        else:
            self._fleet.release_place()
        while workers := self._fleet.takers(Kind.CPU):
            task = self._backlog.take_suspect(Kind.CPU, now)
            if task is None:
                break
            self._hand_out(workers[0], Kind.CPU, [task])

    def _hand_out(self, worker: Worker, kind: Kind, tasks: list[Task]) -> None:
        dispatch = Dispatch(self._new_id(), worker.name, worker.incarnation, tuple(tasks))
        for task in tasks:
            self._fleet.start(Run(task, kind, worker, dispatch.id, sent=False))
        self._journal.dispatch(dispatch)

    def _may_send(self, task_id: UUID, dispatch: Dispatch, now: float) -> bool:
        """Say whether a dispatch that is durable still holds for a task; it counts as begun then."""
        run = self._fleet.run(task_id)
        if run is None or run.dispatch_id != dispatch.id or run.sent:
            return False
        if run.cancel_asked:
            self._conclude(run, Outcome.CANCELLED, now)
            return False
        if run.worker.absent_since is not None:
            self._take_back(run, now)
            return False
        run.sent = run.is_confirmed = True
        definition = self._registry.find(run.task.name)
        assert definition is not None
        self._stuck_at.push(task_id, now + definition.timeout_s + STUCK_AFTER_S)
        return True

    def _conclude(
        self, run: Run, outcome: Outcome, now: float, *, error: str | None = None, after_s: float | None = None
    ) -> None:
        """End a run, and have written what becomes of its task."""
        task = run.task
        definition = self._registry.find(task.name)
        assert definition is not None
        conclusion = conclude(
            task,
            outcome,
            definition.retry,
            now,
            drawn=self._draw(),
            error=error,
            after_s=after_s,
            cancel_asked=run.cancel_asked,
        )
        is_pending = conclusion.state is TaskState.PENDING
        counted = outcome not in (Outcome.ORPHANED, Outcome.INTERRUPTED)
        self._end(run, keeps_place=is_pending and (definition.lane_width == 1 or not counted))
        self._journal.conclude(conclusion)
        if is_pending:
            self._backlog.run_again(conclusion.task, now)

    def _take_back(self, run: Run, now: float) -> None:
        """Have a task run elsewhere that has not begun, or cancel it where that was asked."""
        if run.cancel_asked:
            self._conclude(run, Outcome.CANCELLED, now)
            return
        self._end(run, keeps_place=True)
        self._backlog.put_back(run.task)

    def _end(self, run: Run, *, keeps_place: bool) -> None:
        self._fleet.finish(run)
        self._stuck_at.remove(run.task.id)
        self._backlog.ended(run.task, keeps_place=keeps_place)

    def _lose(self, worker: Worker, now: float) -> None:
        for run in self._fleet.remove(worker):
            if run.sent:
                self._conclude(run, Outcome.ORPHANED, now, error=f"{worker.name} was lost while it ran")
            else:
                self._take_back(run, now)

    def _cancel_run(self, run: Run) -> None:
        run.cancel_asked = True
        if run.sent and run.worker.absent_since is None:
            self._cancels.setdefault(run.worker.name, []).append(RunRef(run.task.id, run.dispatch_id))

    def _give_up_on_workers(self, now: float) -> None:
        """Have workers ended that are stuck or have been silent for too long; what the silent ones ran is orphaned."""
        while (first := self._stuck_at.first()) is not None and first[0] <= now:
            run = self._fleet.run(self._stuck_at.pop())
            assert run is not None, "a run that has ended is not stuck"
            if run.worker.absent_since is None:
                self._kills.append((run.worker.name, run.worker.incarnation))
                self.worker_absent(run.worker.name, run.worker.incarnation, now)
        for worker in self._fleet.silent(now, self._silence_s):
            self._kills.append((worker.name, worker.incarnation))
            self._lose(worker, now)
