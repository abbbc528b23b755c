"""The connection of an owner of the queue to one of its workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol

from actors.runtime.errors import ActorError
from actors.scheduler.effects import Dispatch, RunRef
from actors.scheduler.messages import FormerOwner, FormerSession, Joined, Order, Reports, Session
from actors.scheduler.store import NotOwner
from actors.scheduler.worker import LISTEN_S

_CALL_TIMEOUT_S = 2.0
_REPORTS_TIMEOUT_S = LISTEN_S + 2.0
_JOIN_AGAIN_S = 0.1
# Ends of the same few milliseconds come as one message: a message costs both sides as much as twenty ends.
_GATHER_S = 0.002

_logger = logging.getLogger(__name__)


class WorkerPort(Protocol):
    """The way to a worker: ``ActorWorkerPort``, or a test's twin of it. Calls raise what ``Channel.call`` says."""

    async def call(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a method of the worker."""
        ...

    async def died(self) -> None:
        """Return once the process that the worker is in has died."""
        ...

    def disconnect(self) -> None:
        """End the connection. A later call makes another."""
        ...

    async def kill(self) -> None:
        """End the worker's process; another takes its place."""
        ...


class Events(Protocol):
    """Who is told of a worker."""

    def joined(self, name: str, joined: Joined) -> None:
        """It has answered; what was told of it before is void."""
        ...

    def absent(self, name: str, incarnation: str) -> None:
        """The connection to it broke."""
        ...

    def lost(self, name: str, incarnation: str) -> None:
        """Its process has died."""
        ...

    def reported(self, name: str, incarnation: str, reports: Reports) -> None:
        """It told the ends of runs, and how far others are."""
        ...


class WorkerLink:
    """Keeps one worker joined, gives it orders and hears what becomes of them."""

    def __init__(self, name: str, port: WorkerPort, epoch: int, events: Events) -> None:
        self._name = name
        self._port = port
        self._epoch = epoch
        self._events = events
        self._session: Session | None = None
        self._acknowledged: list[RunRef] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Join again whenever the connection broke. Raises ``NotOwner`` where the worker obeys a later owner."""
        joined = await self._join()
        while True:
            self._session = joined.session
            self._acknowledged.clear()
            self._events.joined(self._name, joined)
            died = asyncio.ensure_future(self._port.died())
            try:
                await self._listen(joined)
                joined = await self._join_again(joined.incarnation, died)
            finally:
                died.cancel()

    def send(self, dispatch: Dispatch) -> None:
        """Order the worker to run tasks. What does not arrive shows when it joins again."""
        orders = [
            Order(task.id, task.name, task.arguments, task.attempts + 1, task.run_at, task.trace)
            for task in dispatch.tasks
        ]
        self._send("begin", dispatch.id, orders)

    def cancel(self, refs: Sequence[RunRef]) -> None:
        """Have runs cancelled."""
        self._send("cancel", refs)

    def acknowledge(self, refs: Iterable[RunRef]) -> None:
        """Have ends forgotten, with the next question for others."""
        self._acknowledged += refs

    async def stand_down(self) -> None:
        """Have the worker end what it runs, if it can be reached: the queue is another owner's."""
        if self._session is None:
            return
        try:
            await self._port.call("stand_down", self._session, timeout_s=_CALL_TIMEOUT_S)
        except (ActorError, FormerOwner, FormerSession) as error:
            _logger.info("%s was not told that its owner has lost the queue: %s", self._name, error)

    async def kill(self) -> None:
        """End the worker's process."""
        await self._port.kill()

    def close(self) -> None:
        """End the connection."""
        for task in self._sending:
            task.cancel()
        self._port.disconnect()

    async def _join(self) -> Joined:
        while True:
            try:
                joined: Joined = await self._port.call("join", self._epoch, timeout_s=_CALL_TIMEOUT_S)
            except ActorError as away:
                _logger.debug("%s cannot be joined: %s", self._name, away)
                await asyncio.sleep(_JOIN_AGAIN_S)
            except FormerOwner:
                raise NotOwner(self._epoch) from None
            else:
                return joined

    async def _listen(self, joined: Joined) -> None:
        """Hear of ends until the connection breaks."""
        after = joined.sequence
        while True:
            acknowledged, self._acknowledged = self._acknowledged, []
            try:
                reports: Reports = await self._port.call(
                    "reports", joined.session, after, acknowledged, timeout_s=_REPORTS_TIMEOUT_S
                )
            except (ActorError, FormerSession) as broken:
                _logger.info("the connection to %s broke: %s", self._name, broken)
                return
            except FormerOwner:
                raise NotOwner(self._epoch) from None
            after = reports.sequence
            if reports.ends or reports.progress:
                self._events.reported(self._name, joined.incarnation, reports)
                await asyncio.sleep(_GATHER_S)

    async def _join_again(self, incarnation: str, died: asyncio.Future[None]) -> Joined:
        """Join anew; the death of the process, where that is why the connection broke, is told at once."""
        self._session = None
        self._port.disconnect()
        self._events.absent(self._name, incarnation)
        joining = asyncio.ensure_future(self._join())
        try:
            signs: tuple[asyncio.Future[Any], ...] = (died, joining)
            await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
            if not joining.done():
                died.result()
                self._events.lost(self._name, incarnation)
            return await joining
        finally:
            joining.cancel()

    def _send(self, method: str, *arguments: Any) -> None:
        if self._session is None:
            return  # What was to be sent shows to be missing when it has joined.
        task = asyncio.ensure_future(self._sent(method, self._session, *arguments))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _sent(self, method: str, *arguments: Any) -> None:
        call: Awaitable[Any] = self._port.call(method, *arguments, timeout_s=_CALL_TIMEOUT_S)
        try:
            await call
        except Exception as error:
            # Whatever it was: joining anew finds out what the worker has of it.
            _logger.warning("%s did not take an order: %s", self._name, error)
            self._port.disconnect()
