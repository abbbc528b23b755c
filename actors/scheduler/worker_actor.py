"""A worker as an actor: Ray starts it again, and says when it died."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from actors.runtime.channel import Address, ChannelServer
from actors.runtime.supervised import Supervised
from actors.runtime.tracing import Tracer
from actors.scheduler.definition import Kind
from actors.scheduler.process import RayProcesses
from actors.scheduler.registry import Registry
from actors.scheduler.worker import Worker

WORKER_PREFIX = "task-worker-"
WATCH_S = 60.0
"""How long a call of `watch` is left open."""

_logger = logging.getLogger(__name__)


def worker_names(count: int) -> list[str]:
    """Return the names of that many workers."""
    return [f"{WORKER_PREFIX}{number}" for number in range(count)]


class TaskWorkerActor(Supervised):
    """Holds a `Worker` and serves it on a channel, once its services are open."""

    def __init__(
        self,
        code_version: str,
        registry: Callable[[], Registry[Any]],
        services: Callable[[], AbstractAsyncContextManager[Any]],
        rooms: Mapping[Kind, int],
        host: Callable[[], str],
        describe: Callable[[BaseException], str] = repr,
        tracer: Callable[[Any], Tracer | None] = lambda _: None,
    ) -> None:
        """The functions are called in the actor's process: what to run, with what, the address of this machine, and
        what of the services makes spans."""
        super().__init__(code_version)
        self._registry = registry
        self._services = services
        self._rooms = rooms
        self._host = host
        self._describe = describe
        self._tracer = tracer
        self._opening: asyncio.Task[Address] | None = None
        self._open_services: AbstractAsyncContextManager[Any] | None = None

    async def ensure_running(self) -> str:
        """Begin to serve as soon as that is possible, and return the version; safe to repeat."""
        self._open()
        return await super().ensure_running()

    async def address(self) -> Address:
        """Return where the worker's server is."""
        return await asyncio.shield(self._open())

    async def watch(self) -> None:
        """Answer after a minute. Whoever waits for the answer hears of the end of this process at once."""
        await asyncio.sleep(WATCH_S)

    def _open(self) -> asyncio.Task[Address]:
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.get_running_loop().create_task(self._start())
        return self._opening

    async def _start(self) -> Address:
        try:
            # Never left: the process ends with the actor. Kept, or the garbage collector would bring its end about.
            self._open_services = self._services()
            services = await self._open_services.__aenter__()
            worker = Worker(
                self._registry(),
                services,
                rooms=self._rooms,
                run_in_process=RayProcesses(self._registry).run,
                describe=self._describe,
                tracer=self._tracer(services),
            )
            handlers = (worker.join, worker.begin, worker.cancel, worker.reports, worker.stand_down)
            return await ChannelServer({each.__name__: each for each in handlers}).start(self._host())
        except Exception:
            _logger.exception("a worker cannot start")
            raise
