"""The monitor of servers as an actor: one connection to each server, whatever number of processes wants to know."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from actors.pool.replicas.monitor import ServerMonitor, Servers, ServersView
from actors.pool.servers.timeline import SEEN
from actors.runtime.supervised import Supervised

REPLICA_MONITOR_NAME = "replica-monitor"
LOOK_INTERVAL_S = 0.25

_logger = logging.getLogger(__name__)


class ReplicaMonitorActor(Supervised):
    """Looks at the servers four times a second, and keeps the highest timeline that any process has seen.

    It forgets when it restarts; the processes that ask it tell it again.
    """

    def __init__(self, code_version: str, servers: Callable[[], Servers]) -> None:
        super().__init__(code_version)
        self._servers = servers
        self._monitor: ServerMonitor | None = None
        self._looking: asyncio.Task[None] | None = None
        self._first = asyncio.Event()

    async def ensure_running(self) -> str:
        """Look on, and return the version; safe to repeat."""
        self._start()
        return await super().ensure_running()

    async def view(self, seen: dict[int, int]) -> ServersView:
        """Take a process's highest timelines, and return what is known after the first look. Safe to repeat."""
        monitor = self._start()
        await self._first.wait()
        return monitor.view(seen)

    def _start(self) -> ServerMonitor:
        if self._monitor is None:
            self._monitor = ServerMonitor(self._servers(), SEEN, time.monotonic)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look(self._monitor))
        return self._monitor

    async def _look(self, monitor: ServerMonitor) -> None:
        primary: str | None = None
        while True:
            await monitor.look()
            self._first.set()
            found = monitor.view({}).primary
            if found != primary:
                _logger.warning("the primary is %s, it was %s", found, primary)
                primary = found
            await asyncio.sleep(LOOK_INTERVAL_S)
