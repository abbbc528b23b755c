"""How far the work of a request is: whether it may still be called off, and what can be said of it already."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from actors.runtime.clock import Clock
from actors.runtime.errors import DeadlineExceeded
from serve_app.admission.ticket import current_ticket
from serve_app.attempts.answer import Answer


class Progress:
    """One request's way from its decision over its begin to its outcome.

    Until it begins, nothing was stored and it may be cancelled. From then on it goes on to its end, whoever listens.
    """

    def __init__(self, clock: Clock) -> None:
        ticket = current_ticket()
        self._clock = clock
        self._deadline = ticket.deadline if ticket is not None else math.inf
        self._begins = False
        self._pending: Callable[[], Answer] | None = None
        self._begun: asyncio.Future[None] | None = None

    @property
    def may_be_cancelled(self) -> bool:
        """Whether nothing of it was stored, and nothing will be where it is cancelled now."""
        return not self._begins

    @property
    def left_s(self) -> float:
        """How long the request may still take."""
        return self._deadline - self._clock.monotonic()

    def begins(self) -> None:
        """Note that the intent is about to be stored.

        Raises:
            DeadlineExceeded: it is too late for that.
        """
        if self.left_s <= 0:
            raise DeadlineExceeded("begin")
        self._begins = True

    def begun(self, pending: Callable[[], Answer]) -> None:
        """Note that the intent is stored; `pending` tells what is known of it until it has an outcome."""
        self._pending = pending
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)

    async def heard_of(self, task: asyncio.Task[Answer]) -> Answer:
        """Return the answer of the task, or, once it has begun and the deadline is over, what is known so far.

        Raises:
            DeadlineExceeded: the deadline is over and nothing has begun, nor will.
        """
        limit = asyncio.timeout(None if math.isinf(self._deadline) else max(0.0, self.left_s))
        try:
            async with limit:
                return await asyncio.shield(task)
        except TimeoutError:
            if not limit.expired():
                raise
        if not self._begins:
            raise DeadlineExceeded("begin")
        if self._pending is None:
            # It is being stored at this moment, which is a matter of milliseconds, or of the database's own limit.
            begun = self._begun = asyncio.get_running_loop().create_future()
            task.add_done_callback(lambda _: None if begun.done() else begun.set_result(None))
            await begun
        if task.done():
            return task.result()
        assert self._pending is not None, "it has begun, or has ended"
        return self._pending()
