"""The scheduler of tasks as an actor."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from actors.pool.database import Database
from actors.runtime.channel import Address, ChannelServer
from actors.runtime.errors import ActorError, Unavailable
from actors.runtime.supervised import Supervised
from actors.scheduler.owner import QueueOwner
from actors.scheduler.port import ActorWorkerPort
from actors.scheduler.registry import Registry
from actors.scheduler.status import NameCounts, SchedulerStatus
from actors.scheduler.store import NotOwner, TaskStore

_AGAIN_S = 0.5
SILENT_S = 30.0
"""For how long the owner of the queue has not been heard of before one that lost it takes it back."""

_logger = logging.getLogger(__name__)


class TaskSchedulerActor(Supervised):
    """Owns the queue, and runs what is in it on the workers; what it promises stands at ``TaskScheduler``.

    A new one takes the queue at once. One that has lost it to another (two clusters on one database) stands by until
    that one is silent.
    """

    def __init__(
        self,
        code_version: str,
        registry: Callable[[], Registry[Any]],
        open_database: Callable[[], Awaitable[Database]],
        workers: Sequence[str],
        namespace: str,
        new_id: Callable[[], UUID],
        host: Callable[[], str],
    ) -> None:
        """``workers`` are the names of the worker actors. The functions are called in the actor's process."""
        super().__init__(code_version)
        self._registry = registry
        self._open_database = open_database
        self._workers = workers
        self._namespace = namespace
        self._new_id = new_id
        self._host = host
        self._running: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[Address] | None = None
        self._owner: QueueOwner | None = None
        self._counts: dict[str, NameCounts] = {}

    async def ensure_running(self) -> str:
        """Begin, unless it runs already, and return the version; safe to repeat."""
        self._begin()
        return await super().ensure_running()

    async def address(self) -> Address:
        """Return where it hears of new tasks; who asks after a restart has it begin."""
        self._begin()
        if self._listening is None:
            server = ChannelServer({"poke": self.poke})
            self._listening = asyncio.get_running_loop().create_task(server.start(self._host()))
        return await asyncio.shield(self._listening)

    def poke(self) -> None:
        """Look for new tasks now."""
        if self._owner is not None:
            self._owner.poke()

    async def status(self) -> SchedulerStatus:
        """Return what waits, what runs and what has ended since this process started."""
        if self._owner is None:
            raise Unavailable("the task scheduler", "it is starting", _AGAIN_S)
        return self._owner.status(self._counts)

    async def cancel(self, task_id: UUID) -> None:
        """Have a task end without running (again)."""
        if self._owner is None:
            raise Unavailable("the task scheduler", "it is starting", _AGAIN_S)
        self._owner.cancel(task_id)

    def _begin(self) -> None:
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            store = TaskStore(await self._open_database())
            ports = {name: ActorWorkerPort(name, self._namespace) for name in self._workers}
            owner = self._owner = QueueOwner(store, self._registry(), ports, new_id=self._new_id, counts=self._counts)
            while True:
                await self._own(owner, store)
        except Exception:
            # The supervisor's next call begins anew; the defect must not go unseen.
            _logger.exception("the scheduler of tasks stopped")
            raise

    async def _own(self, owner: QueueOwner, store: TaskStore) -> None:
        try:
            await owner.run()
        except NotOwner as lost:
            _logger.warning("%s; standing by", lost)
            await self._stand_by(store)
        except ActorError as away:
            _logger.warning("the queue cannot be taken yet: %s", away)
            await asyncio.sleep(_AGAIN_S)

    @staticmethod
    async def _stand_by(store: TaskStore) -> None:
        """Return once the owner of the queue is silent."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            try:
                silent_s = await store.silent_s()
            except ActorError as away:
                _logger.info("standing by: %s", away)
                continue
            if silent_s is None or silent_s > SILENT_S:
                return
