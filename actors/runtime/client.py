"""What every client of an actor does: a deadline on each call, the real cause, and repeats only where that is safe."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    PendingCallsLimitExceeded,
    RayActorError,
    RayTaskError,
)

from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable

_RETRY_AFTER_S = 1.0


class ActorClient:
    """Calls one named actor. The handle is found by name, and again after the actor was lost."""

    def __init__(self, name: str, namespace: str) -> None:
        self._name = name
        self._namespace = namespace
        self._handle: ActorHandle[Any] | None = None

    async def _ask(self, method: str, *arguments: Any, timeout_s: float, repeatable: bool) -> Any:
        """Call a method and return its answer; the actor's own errors are raised as they are.

        Raises:
            Unavailable: there is no such actor. Overloaded: its mailbox is full.
            DeadlineExceeded: no answer in time. OutcomeUnknown: it was lost during a call that is not repeatable.
        """
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    return await self._call(method, arguments)
                except (ActorDiedError, ActorUnavailableError, RayActorError) as lost:
                    self._handle = None
                    if not repeatable:
                        raise OutcomeUnknown(f"{self._name}.{method}", type(lost).__name__) from None
                    return await self._call(method, arguments)
        except TimeoutError:
            raise DeadlineExceeded(f"{self._name}.{method}") from None
        except RayActorError as lost:
            self._handle = None
            raise Unavailable(self._name, type(lost).__name__, _RETRY_AFTER_S) from None

    async def _call(self, method: str, arguments: tuple[Any, ...]) -> Any:
        try:
            return await getattr(await self._resolved(), method).remote(*arguments)
        except RayTaskError as failed:
            cause = failed.cause
            raise cause if isinstance(cause, Exception) else failed from None
        except PendingCallsLimitExceeded:
            raise Overloaded(self._name, _RETRY_AFTER_S) from None

    async def _resolved(self) -> ActorHandle[Any]:
        if self._handle is None:
            # Looking an actor up asks the control store and blocks, so it happens off the loop.
            try:
                self._handle = await asyncio.to_thread(ray.get_actor, self._name, self._namespace)
            except ValueError:
                raise Unavailable(self._name, "there is no such actor", _RETRY_AFTER_S) from None
        return self._handle
