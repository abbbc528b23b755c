"""One ownership of the queue: the core of the scheduler with its store and its workers around it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from actors.runtime.errors import ActorError, Unavailable
from actors.scheduler.effects import Effects, Fetch, Write
from actors.scheduler.link import WorkerLink, WorkerPort
from actors.scheduler.messages import Joined, Reports, Timing
from actors.scheduler.registry import Registry
from actors.scheduler.scheduler import TaskScheduler
from actors.scheduler.status import NameCounts, SchedulerStatus, WorkerStatus
from actors.scheduler.store import NotOwner, TaskStore
from actors.scheduler.task import Priority
from actors.scheduler.upkeep import Upkeep, until_done

STEP_EVERY_S = 0.5
DISCOVER_EVERY_S = 0.5
DISCOVER_MAX = 20_000
"""Tasks of one discovery; beyond it the table is read page by page."""
HEADS_MAX = 100_000
# While tasks stream in, they are gathered for a moment: each discovery costs the server as much as some fifty tasks.
_GATHER_S = 0.003
# A discovery that takes long because somebody's transaction stays open may take a third of the time, no more.
_DISCOVERY_SHARE = 2.0
_RETRY_AFTER_S = 1.0

_logger = logging.getLogger(__name__)


class QueueOwner:
    """Runs tasks for as long as its epoch is the queue's. What it decides and guarantees stands at `TaskScheduler`."""

    def __init__(
        self,
        store: TaskStore,
        registry: Registry[Any],
        ports: Mapping[str, WorkerPort],
        *,
        new_id: Callable[[], UUID],
        counts: dict[str, NameCounts],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``ports`` are the ways to the workers by name; what is counted is added to ``counts`` by name of the task."""
        self._store = store
        self._registry = registry
        self._ports = ports
        self._new_id = new_id
        self._counts = counts
        self._now = now
        self._links: dict[str, WorkerLink] = {}
        self._connected: set[str] = set()
        self._core: TaskScheduler | None = None
        self._epoch = 0
        self._wake = asyncio.Event()
        self._new = asyncio.Event()
        self._progress: dict[UUID, str] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Take the queue and run what is in it. Raises ``NotOwner`` once another has taken it, ``ActorError`` where it
        cannot be taken now.
        """
        ownership = await self._store.take()
        # What this does not show is discovered; what it shows is read from the table.
        snapshot = await self._store.snapshot()
        former = await self._store.open_dispatches(ownership)
        heads = await self._store.heads(HEADS_MAX)
        upkeep = Upkeep(self._store, self._registry, ownership.epoch, now=self._now)
        crons = await upkeep.open_crons()
        core = TaskScheduler(
            self._registry, self._now(), new_id=self._new_id, draw=random.random, former=former, heads=heads
        )
        _logger.warning("the queue is ours by epoch %d, with %d open dispatches", ownership.epoch, len(former))
        self._core, self._epoch = core, ownership.epoch
        self._links = {name: WorkerLink(name, port, ownership.epoch, self) for name, port in self._ports.items()}
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for work in (
                    *(link.run() for link in self._links.values()),
                    self._discover(core, snapshot),
                    upkeep.fire(crons, self.poke),
                    upkeep.checkpoint(core.open_dispatches),
                    upkeep.store_progress(self._take_progress),
                    self._step(core),
                ):
                    self._tasks.create_task(work)
        except* NotOwner:
            await asyncio.gather(*(link.stand_down() for link in self._links.values()))
        finally:
            self._core = None
            self._connected.clear()
            for link in self._links.values():
                link.close()
        raise NotOwner(ownership.epoch)

    def poke(self) -> None:
        """Look for new tasks now."""
        self._new.set()

    def cancel(self, task_id: UUID) -> None:
        """Have a task end without running (again). Raises ``Unavailable`` before the queue is taken."""
        if self._core is None:
            raise Unavailable("the task scheduler", "it does not own the queue", _RETRY_AFTER_S)
        self._core.cancel([task_id])
        self._wake.set()

    def status(self, counts: dict[str, NameCounts]) -> SchedulerStatus:
        """Return how things stand."""
        if self._core is None:
            return SchedulerStatus(None, (0,) * len(Priority), 0, 0, (), counts)
        status = self._core.status()
        running: Counter[str] = Counter()
        for dispatch in self._core.open_dispatches():
            running[dispatch.worker] += len(dispatch.tasks)
        return SchedulerStatus(
            self._epoch,
            tuple(status.ready[priority] for priority in Priority),
            status.delayed,
            status.running,
            tuple(WorkerStatus(name, name in self._connected, running[name]) for name in self._ports),
            counts,
        )

    def joined(self, name: str, joined: Joined) -> None:
        """A worker has answered."""
        self._connected.add(name)
        self._known.worker_joined(name, joined.incarnation, joined.rooms, joined.runs, joined.ends, self._now())
        self._wake.set()

    def absent(self, name: str, incarnation: str) -> None:
        """The connection to a worker broke."""
        self._connected.discard(name)
        self._known.worker_absent(name, incarnation, self._now())

    def lost(self, name: str, incarnation: str) -> None:
        """A worker has died."""
        _logger.warning("%s has died", name)
        self._known.worker_lost(name, incarnation, self._now())
        self._wake.set()

    def reported(self, name: str, incarnation: str, reports: Reports) -> None:
        """Runs have ended."""
        self._known.ended(name, incarnation, reports.ends, self._now())
        self._progress |= reports.progress
        for timing in reports.timings:
            self._count(timing)
        self._wake.set()

    def _take_progress(self) -> dict[UUID, str]:
        told, self._progress = self._progress, {}
        return told

    @property
    def _known(self) -> TaskScheduler:
        assert self._core is not None, "links end with the core"
        return self._core

    async def _step(self, core: TaskScheduler) -> None:
        """Have the core decide, whenever something happened or falls due."""
        while True:
            self._wake.clear()
            self._do(core, core.step(self._now()))
            next_at = core.next_at
            pause_s = STEP_EVERY_S if next_at is None else min(STEP_EVERY_S, max(0.0, next_at - self._now()))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    def _do(self, core: TaskScheduler, effects: Effects) -> None:
        assert self._tasks is not None
        if effects.write is not None:
            self._tasks.create_task(self._write(core, effects.write))
        for dispatch in effects.sends:
            self._links[dispatch.worker].send(dispatch)
        for name, acknowledged in effects.acks.items():
            if name in self._links:
                self._links[name].acknowledge(acknowledged)
        for name, cancelled in effects.cancels.items():
            if name in self._links:
                self._links[name].cancel(cancelled)
        for fetch in effects.fetches:
            self._tasks.create_task(self._fetch(core, fetch))
        for name, _ in effects.kills:
            if name in self._links:
                self._tasks.create_task(self._links[name].kill())

    async def _write(self, core: TaskScheduler, write: Write) -> None:
        """Write until it is written."""
        await until_done(partial(self._store.write, self._epoch, write))
        core.written(self._now())
        self._wake.set()

    async def _fetch(self, core: TaskScheduler, fetch: Fetch) -> None:
        try:
            tasks = await self._store.fetch(fetch)
        except ActorError as away:
            _logger.info("pending tasks cannot be read: %s", away)
            core.fetch_failed(fetch, self._now())
            return
        core.fetched(fetch, tasks, self._now())
        self._wake.set()

    async def _discover(self, core: TaskScheduler, snapshot: str) -> None:
        """Find what is new, when there is word of it and twice a second anyway."""
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(DISCOVER_EVERY_S):
                    await self._new.wait()
            self._new.clear()
            began = loop.time()
            read = core.begin_discovery()
            try:
                found = await self._store.discover(snapshot, DISCOVER_MAX)
            except ActorError as away:
                _logger.info("new tasks cannot be looked for: %s", away)
                core.discovery_failed(read)
                await asyncio.sleep(DISCOVER_EVERY_S)
                continue
            snapshot = found.snapshot
            core.discovered(read, found.tasks, self._now(), overflowed=found.overflowed)
            self._wake.set()
            await asyncio.sleep(max(_GATHER_S, _DISCOVERY_SHARE * (loop.time() - began)))

    def _count(self, timing: Timing) -> None:
        counts = self._counts.setdefault(timing.name, NameCounts())
        counts.ended[timing.outcome] = counts.ended.get(timing.outcome, 0) + 1
        counts.wait_s.record(timing.wait_s)
        counts.run_s.record(timing.run_s)
