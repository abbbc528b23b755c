"""A world around a scheduler's core: a table with snapshots, connections that break, workers and owners that die.

It asserts, whenever a run begins, what must never happen. All is determined by what is called and by one seed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from actors.scheduler.effects import Dispatch, Effects, Fetch, RunEnd, RunRef, Write
from actors.scheduler.lifecycle import ORPHANED_MAX, Outcome
from actors.scheduler.registry import Kind, Registry, Run
from actors.scheduler.retry import RetryPolicy
from actors.scheduler.scheduler import TaskScheduler
from actors.scheduler.task import Task, TaskState

ROOMS = {Kind.IO: 4, Kind.CPU: 2}
WORKERS = ("w0", "w1", "w2")
PAGE = 4
_MOMENT = 0.01


def make_registry() -> Registry[None]:
    """Return definitions of every sort."""
    registry: Registry[None] = Registry()
    quick = RetryPolicy(attempts_max=4, first_s=0.5, max_s=100.0)

    @registry.task("plain", retry=quick)
    async def plain(run: Run[None]) -> None: ...

    @registry.task("narrow", retry=quick, concurrency_max=1)
    async def narrow(run: Run[None]) -> None: ...

    @registry.task("wide", retry=quick, lane_width=2)
    async def wide(run: Run[None]) -> None: ...

    @registry.task("killer", retry=quick)
    async def killer(run: Run[None]) -> None: ...

    @registry.cpu_task("heavy", retry=quick, concurrency_max=3)
    def heavy() -> None: ...

    return registry


@dataclass
class Row:
    """A task in the table. ``starts`` counts its runs."""

    task: Task
    state: TaskState = TaskState.PENDING
    error: str | None = None
    starts: int = 0


@dataclass
class Connection:
    """What is under way between a worker and an owner, in order."""

    epoch: int
    down: deque[Callable[[], None]] = field(default_factory=deque)
    up: deque[Callable[[], None]] = field(default_factory=deque)


@dataclass
class Process:
    """One life of a worker."""

    name: str
    incarnation: str
    epoch: int = 0
    runs: dict[UUID, RunRef] = field(default_factory=dict)
    unacknowledged: dict[RunRef, RunEnd] = field(default_factory=dict)
    connection: Connection | None = None


class World:
    """Everything outside the core."""

    def __init__(self, seed: int) -> None:
        self.now = 1_000.0
        self.registry = make_registry()
        self.rows: dict[UUID, Row] = {}
        self.unseen: list[UUID] = []
        self.dispatched: dict[UUID, list[tuple[Dispatch, int]]] = {}
        self.processes: dict[str, Process] = {}
        self.notices: list[tuple[str, str]] = []
        self.reads: list[Callable[[], None]] = []
        self.write: Write | None = None
        self.is_applied = False
        self.epoch = 0
        self.orphaned = 0
        self.random_deaths = 0
        self._random = random.Random(seed)
        self._numbers = 0
        for name in WORKERS:
            self.start_worker(name)
        self.take_over()

    # What clients do.

    def enqueue(
        self, name: str, *, owner: str = "", lane: str | None = None, priority: int = 2, delay_s: float = 0.0
    ) -> UUID:
        """Commit a task."""
        task = Task(self._id(), name, owner, lane, priority, "null", self.now + delay_s, 0, 0)
        self.rows[task.id] = Row(task)
        self.unseen.append(task.id)
        return task.id

    def cancel(self, task_id: UUID) -> None:
        """Ask for a cancellation."""
        self.core.cancel([task_id])
        self.step()

    # What the table does.

    def discover(self) -> None:
        """Read what was committed since the last discovery; the answer is under way."""
        read = self.core.begin_discovery()
        found = sorted((self.rows[each].task for each in self.unseen if self._is_pending(each)), key=_position)
        self.unseen.clear()
        taken, core = found[: 3 * PAGE], self.core
        overflowed = len(found) > len(taken)
        self.reads.append(lambda: core.discovered(read, taken, self.now, overflowed=overflowed))

    def finish_read(self, pick: int) -> None:
        """An answer arrives, in any order."""
        self.reads.pop(pick % len(self.reads))()
        self.step()

    def apply_write(self) -> None:
        """The write under way commits."""
        assert self.write is not None
        if not self.is_applied:
            self._apply(self.write)
            self.is_applied = True

    def acknowledge_write(self) -> None:
        """The owner hears that it has."""
        self.apply_write()
        self.write = None
        self.core.written(self.now)
        self.step()

    # What workers do.

    def start_worker(self, name: str) -> None:
        """A worker's process starts."""
        assert name not in self.processes
        self._numbers += 1
        self.processes[name] = Process(name, f"{name}-{self._numbers}")

    def connect(self, name: str) -> None:
        """A worker is asked by the owner, and answers; the answer is under way."""
        process = self.processes[name]
        assert process.connection is None
        process.epoch = self.epoch
        process.connection = connection = Connection(self.epoch)
        runs, ends = list(process.runs.values()), list(process.unacknowledged.values())
        core = self.core
        connection.up.append(lambda: core.worker_joined(name, process.incarnation, ROOMS, runs, ends, self.now))

    def disconnect(self, name: str) -> None:
        """A connection breaks: all that is under way is lost."""
        process = self.processes[name]
        assert process.connection is not None
        process.connection = None
        self.core.worker_absent(name, process.incarnation, self.now)
        self.step()

    def receive(self, name: str, *, down: bool) -> None:
        """The next message of a connection arrives."""
        connection = self.processes[name].connection
        assert connection is not None
        (connection.down if down else connection.up).popleft()()
        self.step()

    def finish_run(self, name: str, pick: int, outcome: Outcome) -> None:
        """A run ends."""
        process = self.processes[name]
        ref = list(process.runs.values())[pick % len(process.runs)]
        self._finish(process, ref, outcome)

    def kill(self, name: str) -> None:
        """A worker's process dies; Ray will tell."""
        process = self.processes.pop(name)
        self.notices.append((name, process.incarnation))
        self.core.worker_absent(name, process.incarnation, self.now)
        self.step()

    def notice(self, pick: int) -> None:
        """The owner hears of a death."""
        self.core.worker_lost(*self.notices.pop(pick % len(self.notices)), self.now)
        self.step()

    # What owners do.

    def take_over(self) -> None:
        """The owner dies, its write either commits or does not, and another takes the queue."""
        self.epoch += 1
        self.write, self.is_applied = None, False
        self.reads.clear()
        self.unseen.clear()
        for process in self.processes.values():
            process.connection = None
        former = self._open_dispatches()
        self.notices = [
            (each.worker, each.incarnation) for each in former if not self._lives(each.worker, each.incarnation)
        ]
        self.core = TaskScheduler(
            self.registry,
            self.now,
            new_id=self._id,
            draw=self._random.random,
            former=former,
            heads=[
                row.task
                for row in self.rows.values()
                if row.state is TaskState.PENDING and row.task.lane and row.task.attempts + row.task.orphaned
            ],
            waiting_max=4 * PAGE,
            lane_waiting_max=3,
            delayed_max=3,
            page=PAGE,
        )
        self.step()

    def step(self) -> None:
        """Do what the core wants."""
        effects: Effects = self.core.step(self.now)
        for name, incarnation in effects.kills:
            if self._lives(name, incarnation):
                self.kill(name)
        if effects.write is not None:
            assert self.write is None, "a write began while another was under way"
            self.write, self.is_applied = effects.write, False
            self._check_write(effects.write)
        for dispatch in effects.sends:
            self._send(dispatch.worker, dispatch.incarnation, partial(self._begin, dispatch, self.epoch))
        for name, refs in effects.acks.items():
            self._send(name, None, partial(self._acknowledged, name, refs))
        for name, refs in effects.cancels.items():
            self._send(name, None, partial(self._cancelled, name, refs))
        for fetch in effects.fetches:
            self.reads.append(partial(self._fetch, self.core, fetch))

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.step()

    # How it ends.

    @property
    def pending(self) -> list[Row]:
        """The tasks that have not ended."""
        return [row for row in self.rows.values() if row.state is TaskState.PENDING]

    def settle(self, turns_max: int = 5_000) -> int:
        """Let everything work until every task has ended; return how many rounds it took."""
        for turn in range(turns_max):
            if not self.pending:
                return turn
            self.settle_once()
        raise AssertionError(f"{len(self.pending)} tasks never end, such as {self.pending[0]}")

    def settle_once(self) -> None:
        """One round in which everybody does what he can."""
        for name in WORKERS:
            if name not in self.processes:
                self.start_worker(name)
            if self.processes[name].connection is None:
                self.connect(name)
        while self.notices:
            self.notice(0)
        if self.unseen:
            self.discover()
        while self.reads:
            self.finish_read(0)
        if self.write is not None:
            self.acknowledge_write()
        for name in WORKERS:
            self._settle_worker(name)
        self.advance(_MOMENT if self.core.next_at is None else max(_MOMENT, self.core.next_at - self.now))
        if self.write is None and not any(process.runs for process in self.processes.values()):
            self.advance(5.0)

    def _settle_worker(self, name: str) -> None:
        process = self.processes.get(name)
        while process is not None and process.connection is not None and process.connection.down:
            self.receive(name, down=True)
            process = self.processes.get(name)
        if process is None:
            return
        for ref in list(process.runs.values()):
            self._finish(process, ref, Outcome.SUCCEEDED)
        while process.connection is not None and process.connection.up:
            self.receive(name, down=False)

    # What happens within.

    def _id(self) -> UUID:
        self._numbers += 1
        return UUID(int=self._numbers << 64 | self._random.getrandbits(62))

    def _is_pending(self, task_id: UUID) -> bool:
        return self.rows[task_id].state is TaskState.PENDING

    def _lives(self, name: str, incarnation: str) -> bool:
        process = self.processes.get(name)
        return process is not None and process.incarnation == incarnation

    def _open_dispatches(self) -> list[Dispatch]:
        """Answer as the table does: the newest dispatch of each pending task since its last end."""
        found: dict[UUID, Dispatch] = {}
        for task_id, dispatches in self.dispatched.items():
            task = self.rows[task_id].task
            fits = [each for each, run in dispatches if run == task.attempts + task.orphaned]
            if fits and self._is_pending(task_id):
                newest = fits[-1]
                former = found.setdefault(newest.id, newest._replace(tasks=()))
                found[newest.id] = former._replace(tasks=(*former.tasks, task))
        return list(found.values())

    def _fetch(self, core: TaskScheduler, fetch: Fetch) -> None:
        page = sorted(
            (
                row.task
                for row in self.pending
                if row.task.priority == fetch.priority
                and fetch.after < _position(row.task)
                and row.task.run_at < fetch.until
            ),
            key=_position,
        )[: fetch.limit]
        # The answer stays under way for a while: what is written meanwhile makes it out of date.
        self.reads.append(lambda: core.fetched(fetch, page, self.now))

    def _check_write(self, write: Write) -> None:
        ids = [*(each.task.id for each in write.conclusions), *write.cancels]
        assert len(ids) == len(set(ids)), "a task is twice in a write"
        for task, state, error in write.conclusions:
            assert task.orphaned <= ORPHANED_MAX
            assert (error is None) == (state is TaskState.SUCCEEDED)

    def _apply(self, write: Write) -> None:
        for task, state, error in write.conclusions:
            row = self.rows[task.id]
            if row.state is TaskState.PENDING:
                self.orphaned += task.orphaned - row.task.orphaned
                row.task, row.state, row.error = task, state, error
        for task_id in write.cancels:
            if task_id in self.rows and self._is_pending(task_id):
                self.rows[task_id].state = TaskState.CANCELLED
        for dispatch in write.dispatches:
            for task in dispatch.tasks:
                self.dispatched.setdefault(task.id, []).append((dispatch, task.attempts + task.orphaned))

    def _send(self, name: str, incarnation: str | None, message: Callable[[], None]) -> None:
        process = self.processes.get(name)
        if process is None or process.connection is None or incarnation not in (None, process.incarnation):
            return
        process.connection.down.append(message)

    def _begin(self, dispatch: Dispatch, epoch: int) -> None:
        process = self.processes[dispatch.worker]
        assert epoch == process.epoch
        for task in dispatch.tasks:
            self._check_start(task)
            self.rows[task.id].starts += 1
            process.runs[task.id] = RunRef(task.id, dispatch.id)
        if any(task.name == "killer" for task in dispatch.tasks):
            self.kill(process.name)

    def _check_start(self, task: Task) -> None:
        running = [self.rows[each].task for process in self.processes.values() for each in process.runs]
        row = self.rows[task.id]
        definition = self.registry.find(task.name)
        assert definition is not None
        assert row.state is TaskState.PENDING, "a task that has ended is run"
        assert row.task == task, "a task is run that is out of date in the table"
        assert task.run_at <= self.now, "a task is run before its time"
        assert task.id not in {each.id for each in running}, "a task has two runs at a time"
        assert sum(each.name == task.name for each in running) < definition.concurrency_max, "a limit is broken"
        if task.lane is not None:
            lane = [each for each in running if (each.name, each.lane) == (task.name, task.lane)]
            assert len(lane) < definition.lane_width, "runs of a lane overlap"
            if definition.lane_width == 1:
                begun = [each.task for each in self.pending if each.starts and each.task.id != task.id]
                assert not [each for each in begun if (each.name, each.lane) == (task.name, task.lane)], (
                    "a lane did not wait for its head"
                )

    def _finish(self, process: Process, ref: RunRef, outcome: Outcome) -> None:
        del process.runs[ref.task_id]
        end = RunEnd(ref, outcome, None if outcome is Outcome.SUCCEEDED else "why")
        process.unacknowledged[ref] = end
        if process.connection is not None:
            core = self.core
            process.connection.up.append(lambda: core.ended(process.name, process.incarnation, [end], self.now))

    def _acknowledged(self, name: str, refs: list[RunRef]) -> None:
        for ref in refs:
            self.processes[name].unacknowledged.pop(ref, None)

    def _cancelled(self, name: str, refs: list[RunRef]) -> None:
        process = self.processes[name]
        for ref in refs:
            if process.runs.get(ref.task_id) == ref:
                self._finish(process, ref, Outcome.CANCELLED)


def _position(task: Task) -> tuple[float, UUID]:
    return task.run_at, task.id
