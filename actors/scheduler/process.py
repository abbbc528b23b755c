"""Runs functions of CPU tasks as Ray tasks: each takes a CPU, so the autoscaler sees those that wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError, TaskCancelledError

from actors.scheduler.definition import TaskDefinition
from actors.scheduler.registry import Registry
from actors.scheduler.worker import ProcessLost


class RayProcesses:
    """Runs functions of a registry, which each process composes for itself. They end when this process dies."""

    def __init__(self, registry: Callable[[], Registry[Any]]) -> None:
        self._registry = registry
        self._remote: Any = ray.remote(_call)

    async def run(self, definition: TaskDefinition[Any, Any], arguments: str) -> None:
        """Run a function and wait for its end, also where this is cancelled: then its process is killed.

        The wait for a CPU is part of it. Raises what the function raised, and ``ProcessLost``.
        """
        # Whether to run again is decided by who gave the order.
        options = {"num_cpus": 1, "max_retries": 0, "name": f"task {definition.name}"}
        running = self._remote.options(**options).remote(self._registry, definition.name, arguments)
        ended = asyncio.ensure_future(_ended(running))
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not ended.done():
                ray.cancel(running, force=True)
            # A second run must not begin beside what is left of this one.
            await asyncio.wait([ended])
            if not ended.cancelled():
                ended.exception()  # Nobody wants to know how it was killed.
            raise


async def _ended(running: Any) -> None:
    try:
        await running
    except TaskCancelledError:
        raise ProcessLost("it was cancelled in Ray") from None
    except RayTaskError as failed:
        cause = failed.cause
        raise (cause if isinstance(cause, Exception) else RuntimeError(str(failed))) from None
    except RayError as lost:
        raise ProcessLost(type(lost).__name__) from None


def _call(registry: Callable[[], Registry[Any]], name: str, arguments: str) -> None:
    definition = registry().find(name)
    assert definition is not None, f"there is no task named {name}"
    definition.function(*((definition.parse(arguments),) if definition.takes_arguments else ()))
