"""The way to a worker that is an actor."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from actors.runtime.channel import Address, Channel
from actors.scheduler.address import ActorAddress

_PROBE_EVERY_S = 0.1
_PROBE_TIMEOUT_S = 1.0
_ASK_AGAIN_S = 1.0


class ActorWorkerPort:
    """A ``WorkerPort``. Ray says where the worker is and when it died; the rest goes over a channel."""

    def __init__(self, name: str, namespace: str) -> None:
        self._name = name
        self._namespace = namespace
        self._actor = ActorAddress(name, namespace)
        self._channel = Channel(name, self._find)
        self._address: Address | None = None
        self._disconnected = asyncio.Event()

    async def call(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a method of the worker. Raises what ``Channel.call`` says."""
        return await self._channel.call(method, *arguments, timeout_s=timeout_s)

    async def died(self) -> None:
        """Return once the process that is connected now has died: Ray says so, or nobody listens there any more."""
        self._disconnected.clear()
        signs = [asyncio.ensure_future(sign) for sign in (self._told_by_ray(), self._refused(self._address))]
        try:
            await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sign in signs:
                sign.cancel()

    def disconnect(self) -> None:
        """End the connection. A later call makes another."""
        self._disconnected.set()
        self._channel.close()

    async def kill(self) -> None:
        """End the worker's process; Ray starts another."""
        try:
            actor = await asyncio.to_thread(ray.get_actor, self._name, self._namespace)
        except (RayError, ValueError):
            return  # There is none to be ended, or Ray is away; the scheduler asks again.
        await asyncio.to_thread(ray.kill, actor, no_restart=False)

    async def _find(self) -> Address:
        self._address = await self._actor.address()
        return self._address

    async def _told_by_ray(self) -> None:
        while True:
            try:
                actor: Any = await asyncio.to_thread(ray.get_actor, self._name, self._namespace)
                await actor.watch.remote()
            except RayActorError:
                return
            except (RayError, ValueError):
                # Ray itself is away, or has no such actor now: nothing is known.
                await asyncio.sleep(_ASK_AGAIN_S)

    async def _refused(self, address: Address | None) -> None:
        """Return when the connection broke and another one is refused.

        A worker listens for as long as its process lives, and Ray takes a second or two to say that it died.
        """
        await self._disconnected.wait()
        while True:
            try:
                async with asyncio.timeout(_PROBE_TIMEOUT_S):
                    assert address is not None, "it was connected"
                    _, writer = await asyncio.open_connection(address.host, address.port)
                writer.close()
            except ConnectionRefusedError:
                return
            except (OSError, TimeoutError):
                pass  # The way to it is cut, or it stands still: nothing is known.
            await asyncio.sleep(_PROBE_EVERY_S)
