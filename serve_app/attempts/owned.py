"""Work that a process owns and finishes, whatever becomes of the request that started it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from actors.runtime.errors import Overloaded
from serve_app.admission.ticket import current_ticket

_T = TypeVar("_T")
_RETRY_AFTER_S = 1.0


class OwnedWork:
    """A bounded set of running tasks. A client that hangs up cancels its request, never one of these."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Run `work` to its end.

        Raises:
            Overloaded: as many run as may; `work` was not started.
        """
        if len(self._tasks) >= self._limit:
            work.close()
            raise Overloaded("payments in flight", _RETRY_AFTER_S)
        task = self.go_on(work)
        ticket = current_ticket()
        if ticket is not None:
            # The place is taken as long as the work goes on, also where its client has gone or was answered before.
            ticket.hold()
            task.add_done_callback(lambda _: ticket.release())
        return task

    def go_on(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Run what finishes work that was let in before: never refused, for money may have moved."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self, timeout_s: float) -> int:
        """Wait for what runs; return how many still run after `timeout_s`. The resolver finishes those."""
        if not self._tasks:
            return 0
        _, running = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return len(running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever waits is told; where nobody does any more, the error was answered for by then.
            task.exception()
