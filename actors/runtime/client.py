"""What every client of an actor does: a deadline on each call, the real cause, and repeats only where that is safe."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import ray
from ray.exceptions import PendingCallsLimitExceeded, RayActorError, RayError, RayTaskError, UnserializableException

from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable

RETRY_AFTER_S = 1.0
# Ray restarts an actor in about a second; within a deadline of two that makes some ten tries.
BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 0.5


class ActorClient:
    """Call one named, detached actor. The handle is found by name, and again after the actor was lost.

    Only a client writes ``.remote()``. The actor's own errors are raised as they are, without the traceback of the
    other process.
    """

    def __init__(self, name: str, namespace: str) -> None:
        self._name = name
        self._namespace = namespace
        self._handle: Any = None

    async def _ask(self, method: str, *args: Any, timeout_s: float, repeatable: bool) -> Any:
        """Call a method and return its answer within ``timeout_s``.

        Nothing was done: ``Overloaded`` (its mailbox is full), ``Unavailable`` (there is no such actor). A call that is
        ``repeatable`` is repeated while the actor is away and ends with ``Unavailable`` or ``DeadlineExceeded``; any
        other ends with ``OutcomeUnknown`` where the actor was lost or did not answer.
        """
        operation = f"{self._name}.{method}"
        lost: RayError | None = None
        backoff_s = BACKOFF_MIN_S
        sent = False
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                while True:
                    handle = self._handle or await self._resolve()
                    sent = True
                    try:
                        return await self._call(handle, method, args)
                    except RayError as error:
                        lost, self._handle = error, None
                    if not repeatable:
                        break
                    await asyncio.sleep(random.uniform(0, backoff_s))
                    backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)
        except TimeoutError:
            if not deadline.expired():
                raise  # The actor's own.
        if sent and not repeatable:
            raise OutcomeUnknown(operation, type(lost).__name__ if lost else "no answer within the deadline")
        if lost is not None:
            raise Unavailable(self._name, type(lost).__name__, RETRY_AFTER_S)
        raise DeadlineExceeded(operation)

    async def _call(self, handle: Any, method: str, args: tuple[Any, ...]) -> Any:
        """Call once. A ``RayError`` that leaves says that the actor was lost."""
        try:
            return await getattr(handle, method).remote(*args)
        except RayTaskError as failed:
            cause = failed.cause
            raise (cause if isinstance(cause, Exception) else RuntimeError(str(failed))) from None
        except UnserializableException as failed:
            # The actor's error cannot be unpickled and arrives as text: a defect, and no sign that the actor is lost.
            raise RuntimeError(str(failed)) from None
        except PendingCallsLimitExceeded:
            raise Overloaded(self._name, RETRY_AFTER_S) from None

    async def _resolve(self) -> Any:
        if not ray.is_initialized():
            # To ask all the same would start a Ray of its own in this process.
            raise Unavailable(self._name, "this process is not connected to Ray", RETRY_AFTER_S)
        try:
            # It asks the control store and blocks, so it happens off the loop.
            self._handle = await asyncio.to_thread(ray.get_actor, self._name, self._namespace)
        except ValueError:
            raise Unavailable(self._name, "there is no such actor", RETRY_AFTER_S) from None
        except RayActorError as gone:
            raise Unavailable(self._name, type(gone).__name__, RETRY_AFTER_S) from None
        except RayError as away:
            raise Unavailable("Ray's control store", type(away).__name__, RETRY_AFTER_S) from None
        return self._handle
