"""The way to a worker that is an actor."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from actors.runtime.channel import Channel
from actors.scheduler.address import ActorAddress


class ActorWorkerPort:
    """A ``WorkerPort``. Ray says where the worker is and when it died; the rest goes over a channel."""

    def __init__(self, name: str, namespace: str) -> None:
        self._name = name
        self._namespace = namespace
        self._channel = Channel(name, ActorAddress(name, namespace).address)

    async def call(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a method of the worker. Raises what ``Channel.call`` says."""
        return await self._channel.call(method, *arguments, timeout_s=timeout_s)

    async def died(self) -> None:
        """Return once Ray says that the process has died; never, where this was asked too late to tell."""
        while True:
            try:
                actor: Any = await asyncio.to_thread(ray.get_actor, self._name, self._namespace)
                await actor.watch.remote()
            except RayActorError:
                return
            except (RayError, ValueError):
                # Ray itself is away, or has no such actor now: nothing is known.
                await asyncio.sleep(1.0)

    def disconnect(self) -> None:
        """End the connection. A later call makes another."""
        self._channel.close()

    async def kill(self) -> None:
        """End the worker's process; Ray starts another."""
        try:
            actor = await asyncio.to_thread(ray.get_actor, self._name, self._namespace)
        except (RayError, ValueError):
            return  # There is none to be ended, or Ray is away; the scheduler asks again.
        await asyncio.to_thread(ray.kill, actor, no_restart=False)
