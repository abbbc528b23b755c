"""Workers of tasks in a test's own process, behind real connections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from actors.runtime.channel import Channel, ChannelServer
from actors.scheduler.definition import Kind, TaskDefinition
from actors.scheduler.registry import Registry
from actors.scheduler.worker import Worker

ROOMS: Mapping[Kind, int] = {Kind.IO: 256, Kind.CPU: 4}


async def _no_process(definition: TaskDefinition[Any, Any], _arguments: str) -> None:
    raise AssertionError(f"there is no process here for {definition.name}")


class LocalWorker:
    """A worker and the way to it. `die` ends it as a crash does, `start` begins another life."""

    def __init__(self, registry: Registry[Any], services: Any = None, rooms: Mapping[Kind, int] = ROOMS) -> None:
        self._registry = registry
        self._services = services
        self._rooms = rooms
        self._server: ChannelServer | None = None
        self._dead = asyncio.Event()
        self.worker: Worker[Any] | None = None
        self.kills = 0
        self._channel = Channel("worker", self._find)

    async def start(self) -> None:
        """Begin a life."""
        self.worker = Worker(self._registry, self._services, rooms=self._rooms, run_in_process=_no_process)
        methods = ("join", "begin", "cancel", "reports", "stand_down")
        self._server = ChannelServer({name: getattr(self.worker, name) for name in methods})
        self._address = await self._server.start("127.0.0.1")
        self._dead = asyncio.Event()

    async def die(self) -> None:
        """End it: what runs ends in the middle, and nobody is told."""
        assert self._server is not None
        assert self.worker is not None
        server, worker, dead = self._server, self.worker, self._dead
        self._server = None
        await server.close()
        await worker.close()
        dead.set()

    async def call(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a method of the worker."""
        return await self._channel.call(method, *arguments, timeout_s=timeout_s)

    async def died(self) -> None:
        """Return once this life has ended."""
        await self._dead.wait()

    def disconnect(self) -> None:
        """End the connection."""
        self._channel.close()

    async def kill(self) -> None:
        """End this life and begin another, as Ray does."""
        self.kills += 1
        await self.die()
        await self.start()

    async def _find(self) -> Any:
        return self._address
