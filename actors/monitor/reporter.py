"""Tells a process's measures to the monitor, for as long as the process runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from actors.monitor.client import MONITOR_NAME
from actors.monitor.instruments import Instruments
from actors.monitor.messages import Batch, Reply
from actors.runtime.client import RETRY_AFTER_S
from actors.runtime.errors import ActorError, Unavailable

REPORT_EVERY_S = 0.25
_CLOSE_TIMEOUT_S = 2.0
"""Two batches by way of a relay, which waits for its turn with each, on a busy machine."""

_logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Whoever is told: ``MonitorClient``, ``RelayClient``, ``Route``, or a test's twin of them."""

    async def report(self, batch: Batch) -> Reply:
        """Take a batch; one that comes again, and says how old it is, counts once."""
        ...


class Reporter:
    """Sends one batch every 250 ms.

    While nobody listens the last batch is kept, to be told again until it was heard, and the instruments go on
    counting: nothing is lost, and what is kept is no more than one batch and one set of instruments. The process
    is neither delayed nor failed by it.
    """

    def __init__(
        self,
        instruments: Instruments,
        client: Listener,
        *,
        every_s: float = REPORT_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instruments = instruments
        self._client = client
        self._every_s = every_s
        self._clock = clock
        self._unheard: Batch | None = None
        self._taken_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; from within a running loop."""
        assert self._task is None, "it was started"
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Tell what is left if that takes no longer than two seconds, and end. Safe to repeat."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self.once()
                await self.once()
        except Exception as away:
            # Whatever it is: the process ends, and what its other parts have to write must not be lost for this.
            _logger.info("what %s measured last was told to nobody: %r", self._instruments.process, away)

    async def once(self) -> None:
        """Tell one batch: the last one if nobody heard it, otherwise a new one. Raises ``ActorError`` where nobody
        listens; the batch is kept."""
        now = self._clock()
        if self._unheard is None:
            self._unheard, self._taken_at = self._instruments.take(), now
        reply = await self._client.report(self._unheard._replace(age_s=now - self._taken_at))
        if not reply.heard:
            raise Unavailable(MONITOR_NAME, "it did not hear the relay", RETRY_AFTER_S)
        self._unheard = None

    async def _run(self) -> None:
        due = self._clock()
        while True:
            due = max(due + self._every_s, self._clock())
            await self._tell()
            await asyncio.sleep(max(0.0, due - self._clock()))

    async def _tell(self) -> None:
        was_unheard = self._unheard is not None
        try:
            await self.once()
            if was_unheard:
                # What was counted meanwhile is news too, and need not wait for the next turn.
                await self.once()
        except ActorError as away:
            if not was_unheard:
                _logger.info("the monitor does not hear %s: %s", self._instruments.process, away)
        except Exception:
            # A defect here must not silence the process for good.
            _logger.exception("%s cannot tell what it measures", self._instruments.process)
