"""Runs tasks in one process, for whoever owns the queue."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, Generic, TypeVar
from uuid import UUID

from actors.runtime.errors import Overloaded
from actors.runtime.tracing import Tracer
from actors.scheduler.definition import Kind, Run, TaskDefinition
from actors.scheduler.effects import RunEnd, RunRef
from actors.scheduler.lifecycle import Outcome
from actors.scheduler.messages import FormerOwner, FormerSession, Joined, Order, Reports, Session, Timing
from actors.scheduler.registry import Registry
from actors.scheduler.retry import GiveUp, Retry
from actors.scheduler.trace import run_span

Services = TypeVar("Services")

LISTEN_S = 1.0
"""How long a question for reports is left open."""
ALONE_S = 15.0
"""How long runs go on while no owner of the queue asks for them. Shorter than an owner waits for a silent worker before
it has them run elsewhere."""
_LOOK_EVERY_S = 1.0
_PROGRESS_TEXT_MAX = 200
_RETRY_AFTER_S = 1.0


class ProcessLost(Exception):
    """The process that a run was in died."""


RunInProcess = Callable[[TaskDefinition[Any, Any], str], Awaitable[None]]
"""Runs a function with its arguments (JSON) in a process of its own. Raises what the function raised, or
``ProcessLost``; where it is cancelled it returns no earlier than that process has ended."""


_Ending = tuple[Outcome, str | None, float | None]


@dataclass(slots=True)
class _Running:
    ref: RunRef
    order: Order
    kind: Kind
    started_at: float
    task: asyncio.Task[_Ending] | None = None
    is_cancelled: bool = False
    is_interrupted: bool = False


class Worker(Generic[Services]):
    """Runs what it is ordered to, within its rooms, and keeps each end until it is acknowledged.

    It obeys the latest owner of the queue that it has heard of. Every method may be repeated with the same arguments.
    """

    def __init__(
        self,
        registry: Registry[Services],
        services: Services,
        *,
        rooms: Mapping[Kind, int],
        run_in_process: RunInProcess,
        describe: Callable[[BaseException], str] = repr,
        now: Callable[[], float] = time.time,
        tracer: Tracer | None = None,
    ) -> None:
        """``rooms`` is how many tasks of each kind it runs at once, ``describe`` says of an error what may be stored.
        With a ``tracer``, runs of tasks that were enqueued by traced work are spans. Bound to the loop that it is
        created on.
        """
        self._registry = registry
        self._services = services
        self._rooms = rooms
        self._free = dict(rooms)
        self._run_in_process = run_in_process
        self._describe = describe
        self._now = now
        self._tracer = tracer
        self._loop = asyncio.get_running_loop()
        self._incarnation = secrets.token_hex(8)
        self._session = Session(0, 0)
        self._alone_at = 0.0
        self._looking: asyncio.TimerHandle | None = None
        self._running: dict[UUID, _Running] = {}
        self._ended: dict[RunRef, tuple[int, RunEnd]] = {}
        self._sequence = 0
        self._progress: dict[UUID, str] = {}
        self._timings: list[Timing] = []
        self._news = asyncio.Event()

    @property
    def running(self) -> int:
        """How many tasks run."""
        return len(self._running)

    def join(self, epoch: int) -> Joined:
        """Obey the owner of this epoch from now on, and no connection before; tell it how things stand."""
        if epoch < self._session.epoch:
            raise FormerOwner(epoch, self._session.epoch)
        self._session = Session(epoch, self._session.number + 1)
        self._heard()
        return Joined(
            self._session,
            self._incarnation,
            self._rooms,
            [running.ref for running in self._running.values()],
            [end for _, end in self._ended.values()],
            self._sequence,
        )

    def begin(self, session: Session, dispatch_id: UUID, orders: Sequence[Order]) -> None:
        """Run tasks. Raises ``Overloaded`` where there is not room for all; then none of them is run."""
        self._obey(session)
        new: list[tuple[RunRef, Kind, Order]] = []
        for order in orders:
            ref = RunRef(order.id, dispatch_id)
            if order.id not in self._running and ref not in self._ended:
                new.append((ref, self._kind(order.name), order))
        for kind, count in Counter(kind for _, kind, _ in new).items():
            if count > self._free[kind]:
                raise Overloaded(f"the room of a worker for {kind.name} tasks", _RETRY_AFTER_S)
        for ref, kind, order in new:
            self._start(ref, kind, order)

    def cancel(self, session: Session, refs: Sequence[RunRef]) -> None:
        """Cancel runs. Their ends are reported as those of all others."""
        self._obey(session)
        for ref in refs:
            running = self._running.get(ref.task_id)
            if running is not None and running.ref == ref and not running.is_cancelled:
                running.is_cancelled = True
                assert running.task is not None
                running.task.cancel()

    async def reports(self, session: Session, after: int, acknowledged: Sequence[RunRef]) -> Reports:
        """Return the ends that follow the one of number ``after``, as soon as there are any, or after a second none.

        The ends of runs that are ``acknowledged`` are forgotten here.
        """
        self._obey(session)
        for ref in acknowledged:
            self._ended.pop(ref, None)
        if self._sequence <= after:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(LISTEN_S):
                    await self._news.wait()
            self._obey(session)
        told = [end for number, end in takewhile(lambda each: each[0] > after, reversed(self._ended.values()))]
        told.reverse()
        progress, self._progress = self._progress, {}
        timings, self._timings = self._timings, []
        return Reports(self._sequence, told, progress, timings)

    async def close(self) -> None:
        """End what runs."""
        tasks = [running.task for running in self._running.values() if running.task is not None]
        self._interrupt()
        await asyncio.gather(*tasks, return_exceptions=True)

    def stand_down(self, session: Session) -> None:
        """End what runs: whoever gave the orders has lost the queue, and its new owner may give them again."""
        self._obey(session)
        self._interrupt()

    def _obey(self, session: Session) -> None:
        if session.epoch < self._session.epoch:
            raise FormerOwner(session.epoch, self._session.epoch)
        if session != self._session:
            raise FormerSession
        self._heard()

    def _heard(self) -> None:
        self._alone_at = self._loop.time() + ALONE_S

    def _interrupt(self) -> None:
        for running in self._running.values():
            if running.task is not None and not running.is_interrupted:
                running.is_interrupted = True
                running.task.cancel()

    def _look_around(self) -> None:
        """Where nobody asks any more what became of the runs, they may be given to another worker: end them before."""
        self._looking = None
        if not self._running:
            return
        if self._loop.time() >= self._alone_at:
            self._interrupt()
        self._looking = self._loop.call_later(_LOOK_EVERY_S, self._look_around)

    def _kind(self, name: str) -> Kind:
        definition = self._registry.find(name)
        return Kind.IO if definition is None else definition.kind

    def _start(self, ref: RunRef, kind: Kind, order: Order) -> None:
        if self._looking is None:
            self._looking = self._loop.call_later(_LOOK_EVERY_S, self._look_around)
        self._free[kind] -= 1
        running = self._running[order.id] = _Running(ref, order, kind, self._now())
        running.task = self._loop.create_task(self._outcome(order))
        running.task.add_done_callback(partial(self._finished, running))

    def _finished(self, running: _Running, task: asyncio.Task[_Ending]) -> None:
        ref = running.ref
        del self._running[ref.task_id]
        self._free[running.kind] += 1
        if task.cancelled():
            outcome, error, after_s = self._cut_short(running)
        else:
            outcome, error, after_s = task.result()
        self._sequence += 1
        order, started_at = running.order, running.started_at
        wait_s, run_s = max(0.0, started_at - order.run_at), max(0.0, self._now() - started_at)
        self._ended[ref] = (self._sequence, RunEnd(ref, outcome, error, after_s))
        self._timings.append(Timing(order.name, outcome, wait_s, run_s))
        self._news.set()

    def _cut_short(self, running: _Running) -> _Ending:
        if running.is_cancelled:
            return Outcome.CANCELLED, None, None
        if running.is_interrupted:
            return Outcome.INTERRUPTED, None, None
        # It waited for something that was cancelled, and let that through.
        return Outcome.FAILED, "cancelled by itself", None

    async def _outcome(self, order: Order) -> _Ending:
        definition = self._registry.find(order.name)
        if definition is None:
            # Perhaps a worker of the next version knows it.
            return Outcome.FAILED, f"no task is named {order.name}", None
        deadline = asyncio.timeout(definition.timeout_s)
        try:
            with run_span(self._tracer, order, self._now()):
                async with deadline:
                    await self._call(definition, order)
        except Retry as retry:
            return Outcome.FAILED, str(retry), retry.after_s
        except GiveUp as given_up:
            return Outcome.GAVE_UP, str(given_up), None
        except ProcessLost as lost:
            return Outcome.ORPHANED, str(lost), None
        except Exception as error:
            if isinstance(error, TimeoutError) and deadline.expired():
                return Outcome.TIMED_OUT, f"it took longer than {definition.timeout_s:g} s", None
            return Outcome.FAILED, self._describe(error), None
        return Outcome.SUCCEEDED, None, None

    async def _call(self, definition: TaskDefinition[Services, Any], order: Order) -> None:
        try:
            arguments = (definition.parse(order.arguments),) if definition.takes_arguments else ()
        except ValueError as wrong:
            raise GiveUp(str(wrong)) from None
        if definition.kind is Kind.CPU:
            await self._run_in_process(definition, order.arguments)
            return
        task_id = order.id

        def progress(done: int, total: int, text: str) -> None:
            self._progress[task_id] = json.dumps({"done": done, "total": total, "text": text[:_PROGRESS_TEXT_MAX]})

        await definition.function(Run(task_id, order.attempt, self._services, progress), *arguments)
