"""A process's way to the monitor: its socket on the same machine, a relay, or a call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from actors.monitor.inlet import InletPort
from actors.monitor.messages import Batch, Reply
from actors.monitor.reporter import Listener
from actors.runtime.errors import ActorError

FIND_AGAIN_S = 5.0

_logger = logging.getLogger(__name__)


class Route:
    """Tells the monitor by its socket where that is on this machine; else, where it says so, through the relay of this
    process's node.

    Until there is one of these, and while it cannot be had, the monitor is called. A batch may be told on several ways:
    it counts once, as the monitor knows which batches a relay has added up.
    """

    def __init__(
        self,
        monitor: Listener,
        find_relay: Callable[[], Awaitable[Listener]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``find_relay`` returns the node's relay when it runs, made if there is none; what it raises is logged."""
        self._monitor = monitor
        self._find_relay = find_relay
        self._clock = clock
        self._inlet: InletPort | None = None
        self._inlet_tried = ""
        self._relay: Listener | None = None
        self._finding: asyncio.Task[None] | None = None
        self._may_find_at = float("-inf")

    async def report(self, batch: Batch) -> Reply:
        """Tell what a process measured. Where its way is no more the monitor is called the next time."""
        if self._inlet is not None:
            try:
                return await self._inlet.report(batch)
            except ActorError:
                # It may have been slow for once.
                self._inlet, self._inlet_tried = None, ""
                raise
        listener = self._relay or self._monitor
        try:
            reply = await listener.report(batch)
        except ActorError:
            if listener is self._relay:
                self._relay = None
            raise
        if not await self._finds_inlet(reply.inlet):
            self._follow(reply)
        return reply

    async def close(self) -> None:
        """Look for a relay no longer, and leave the socket. Safe to repeat."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close()
        finding, self._finding = self._finding, None
        if finding is not None:
            finding.cancel()
            await asyncio.gather(finding, return_exceptions=True)

    async def _finds_inlet(self, name: str) -> bool:
        """Try each socket once: one that is not there now is another machine's, or its monitor has ended."""
        if not name or name == self._inlet_tried:
            return False
        self._inlet_tried = name
        inlet = InletPort(name)
        try:
            await inlet.open()
        except ActorError as elsewhere:
            _logger.debug("the monitor is called: %s", elsewhere)
            return False
        self._inlet = inlet
        return True

    def _follow(self, reply: Reply) -> None:
        if not reply.relay:
            self._relay = None
        elif self._relay is None and self._finding is None and self._clock() >= self._may_find_at:
            self._may_find_at = self._clock() + FIND_AGAIN_S
            self._finding = asyncio.get_running_loop().create_task(self._find())

    async def _find(self) -> None:
        try:
            self._relay = await self._find_relay()
        except Exception as failed:
            # Whatever it is: the monitor is told directly, and the relay is looked for again.
            _logger.warning("the node's relay cannot be had: %r", failed)
        finally:
            self._finding = None
