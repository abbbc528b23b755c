"""What each process hears of the servers: which timelines there are, and how its replicas do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from actors.pool.replicas.monitor import ServersView
from actors.pool.servers.timeline import SEEN, Timelines
from actors.runtime.errors import ActorError

INTERVAL_S = 0.25

_logger = logging.getLogger(__name__)


class Monitor(Protocol):
    """What a watch needs of the monitor: ``ReplicaMonitorClient``, or a test's twin of it."""

    async def view(self, seen: dict[int, int]) -> ServersView:
        """Take what was seen and return what is known."""
        ...


class ServerWatch:
    """Ask the monitor four times a second.

    ``on_promotion`` is called when a higher timeline is heard of: connections made before lead to a server that was
    replaced. ``on_view`` is shown each answer, and since when on the loop's clock it holds. While the monitor is away
    nothing is heard, and nothing else changes.
    """

    def __init__(
        self,
        monitor: Monitor,
        *,
        on_promotion: Callable[[], None],
        on_view: Callable[[ServersView, float], None] = lambda _view, _seen_at: None,
        timelines: Timelines = SEEN,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._monitor = monitor
        self._on_promotion = on_promotion
        self._on_view = on_view
        self._timelines = timelines
        self._interval_s = interval_s
        # What this process' own connections have seen since counts as news too: others of its lead elsewhere.
        self._known = timelines.all()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; from within a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End. Safe to repeat."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def once(self) -> None:
        """Tell and hear once. Raises ``ActorError`` where the monitor is away."""
        asked_at = asyncio.get_running_loop().time()
        view = await self._monitor.view(self._timelines.all())
        self._timelines.learn(view.timelines)
        highest = self._timelines.all()
        promoted = any(timeline > self._known.get(system, timeline) for system, timeline in highest.items())
        self._known = highest
        if promoted:
            self._on_promotion()
        self._on_view(view, asked_at - view.age_s)

    async def _run(self) -> None:
        while True:
            try:
                await self.once()
            except ActorError as away:
                _logger.debug("the monitor of servers does not answer: %s", away)
            except Exception:
                # A defect here must not blind this process for good.
                _logger.exception("cannot take what the monitor of servers says")
            await asyncio.sleep(self._interval_s)
