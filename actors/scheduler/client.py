"""The ways to the queue: for whoever has something to run, and for operators."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from actors.pool.connector import Connection
from actors.pool.database import Database
from actors.runtime.channel import Channel
from actors.runtime.client import ActorClient
from actors.runtime.errors import ActorError
from actors.scheduler.address import ActorAddress
from actors.scheduler.status import SchedulerStatus
from actors.scheduler.table import enqueue, enqueue_statement
from actors.scheduler.task import NewTask

SCHEDULER_NAME = "task-scheduler"
_CALL_TIMEOUT_S = 2.0
_POKE_TIMEOUT_S = 1.0
# The scheduler looks by itself twice a second: while it is away nobody needs to know better.
_POKE_AGAIN_S = 1.0
_BATCH_MAX = 512

_logger = logging.getLogger(__name__)


class TaskQueue:
    """Puts tasks into the queue. They are durable with the commit; that the scheduler is away loses none."""

    def __init__(self, database: Database, namespace: str) -> None:
        self._committer = database.committer(enqueue_statement(), batch_max=_BATCH_MAX)
        self._channel = Channel(SCHEDULER_NAME, ActorAddress(SCHEDULER_NAME, namespace).address)
        self._poking: asyncio.Task[None] | None = None
        self._poke_again = False

    async def enqueue(self, connection: Connection, tasks: Iterable[NewTask]) -> list[bool]:
        """Store tasks on a connection, in the transaction that is open there; `poke` after its commit.

        Return for each whether it is stored: one with a unique key is not where another of that name and key is
        pending. Safe to repeat with the same ids. Raises asyncpg's errors.
        """
        return await enqueue(connection, tasks)

    async def submit(self, task: NewTask) -> bool:
        """Store a task in a transaction that it shares with others' tasks, and tell the scheduler.

        Return whether it is stored, as `enqueue` does. Safe to repeat with the same id. Raises what
        ``GroupCommitter.submit`` says.
        """
        stored = await self._committer.submit(task)
        self.poke()
        return bool(stored)

    def poke(self) -> None:
        """Tell the scheduler that there is something new. Returns at once; many at a time cost one message.

        Without it the scheduler finds what is new within half a second.
        """
        self._poke_again = True
        if self._poking is None or self._poking.done():
            self._poking = asyncio.get_running_loop().create_task(self._poke())

    def close(self) -> None:
        """End the connection to the scheduler."""
        if self._poking is not None:
            self._poking.cancel()
        self._channel.close()

    async def _poke(self) -> None:
        while self._poke_again:
            self._poke_again = False
            try:
                await self._channel.call("poke", timeout_s=_POKE_TIMEOUT_S)
            except ActorError as away:
                _logger.debug("the scheduler was not told of new tasks: %s", away)
                await asyncio.sleep(_POKE_AGAIN_S)


class TaskSchedulerClient(ActorClient):
    """Ask the scheduler. Every call is safe to repeat, and raises what ``ActorClient`` says."""

    def __init__(self, namespace: str, name: str = SCHEDULER_NAME) -> None:
        super().__init__(name, namespace)

    async def status(self) -> SchedulerStatus:
        """Return what waits, what runs and what has ended since the scheduler started."""
        status: SchedulerStatus = await self._call_it("status")
        return status

    async def cancel(self, task_id: UUID) -> None:
        """Have a task end without running (again). What runs is told to end; both take a moment to show."""
        await self._call_it("cancel", task_id)

    async def _call_it(self, method: str, *arguments: Any) -> Any:
        return await self._ask(method, *arguments, timeout_s=_CALL_TIMEOUT_S, repeatable=True)
