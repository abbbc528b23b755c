"""Delivers alerts to one receiver, for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from actors.monitor.alerts import AlertView
from actors.monitor.outbox import Counts, Outbox
from actors.monitor.sinks import Sink

DELIVER_TIMEOUT_S = 10.0

_logger = logging.getLogger(__name__)


class Courier:
    """Delivers in order, one at a time; what it promises stands at ``Outbox``. A receiver that hangs is left after ten
    seconds, and holds up no other."""

    def __init__(
        self,
        sink: Sink,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.sink = sink
        self._clock = clock
        self._outbox = Outbox(chance)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def send(self, alerts: Sequence[AlertView]) -> None:
        """Deliver these, in their order, after those that came before; from within a running loop."""
        if not alerts:
            return
        self._outbox.add(alerts, self._clock())
        self._news.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End; what was not delivered is not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def waiting(self) -> tuple[str, ...]:
        """Return the ids of what was not delivered."""
        return self._outbox.waiting()

    def counts(self) -> Counts:
        """Return what became of what was sent."""
        return self._outbox.counts()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            alert = self._outbox.due(self._clock())
            if alert is not None:
                await self._deliver(alert)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._outbox.due_in_s(self._clock())):
                    await self._news.wait()

    async def _deliver(self, alert: AlertView) -> None:
        try:
            async with asyncio.timeout(DELIVER_TIMEOUT_S):
                await self.sink.deliver(alert)
        except Exception as failed:
            # A sink is anybody's code: whatever it raises is a failed delivery, which is counted and tried again.
            if not self._outbox.failed(alert, self._clock()):
                _logger.exception("the alert %s was given up: %s does not take it", alert.id, self.sink.name)
            else:
                _logger.warning("%s did not take the alert %s: %r", self.sink.name, alert.id, failed)
        else:
            self._outbox.delivered(alert)
