"""The ways to the board of breakers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from actors.breaker.actor import BREAKER_BOARD_NAME
from actors.breaker.local import ProcessBreakers
from actors.breaker.messages import BreakerView, Sync, SyncAnswer
from actors.runtime.breaker import State
from actors.runtime.client import ActorClient
from actors.runtime.errors import ActorError

# What one process found out is told at once, and heard by the others with their next call: within this and a call.
SYNC_EVERY_S = 0.25
_SYNC_TIMEOUT_S = 1.0
_CALL_TIMEOUT_S = 2.0

_logger = logging.getLogger(__name__)


class Board(Protocol):
    """What a process needs of the board: ``BreakerBoardClient``, or a test's twin of it."""

    async def sync(self, sync: Sync) -> SyncAnswer:
        """Tell the process's breakers and return what holds."""
        ...


class BreakerBoardClient(ActorClient):
    """Ask the board. Every call is safe to repeat, and raises what ``ActorClient`` says."""

    def __init__(self, namespace: str, name: str = BREAKER_BOARD_NAME) -> None:
        super().__init__(name, namespace)

    async def sync(self, sync: Sync) -> SyncAnswer:
        """Tell the process's breakers and return what holds."""
        answer: SyncAnswer = await self._ask("sync", sync, timeout_s=_SYNC_TIMEOUT_S, repeatable=True)
        return answer

    async def force(self, name: str, state: State | None, by: str) -> bool:
        """Hold a breaker open or closed, or (None) release it; False where there is none of that name."""
        known: bool = await self._ask("force", name, state, by, timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return known

    async def views(self) -> tuple[BreakerView, ...]:
        """Return every breaker of the cluster."""
        views: tuple[BreakerView, ...] = await self._ask("views", timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return views


class BreakerSync:
    """Keeps a process's breakers and the board in agreement for as long as it runs.

    While the board is away each breaker goes on by itself, and nothing of that is seen by a request.
    """

    def __init__(
        self,
        breakers: ProcessBreakers,
        board: Board,
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = SYNC_EVERY_S,
    ) -> None:
        self._breakers = breakers
        self._board = board
        self._clock = clock
        self._every_s = every_s
        self._news = asyncio.Event()
        self._breakers.on_news = self._news.set
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; from within a running loop."""
        assert self._task is None, "it was started"
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """End. Safe to repeat."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def once(self) -> None:
        """Tell and hear once. Raises ``ActorError`` where the board is away."""
        sync, decisions = self._breakers.sync(self._clock())
        answer = await self._board.sync(sync)
        self._breakers.take(answer, decisions, self._clock())

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self.once()
            except ActorError as away:
                _logger.debug("the board of breakers does not answer %s: %s", self._breakers.process, away)
                # News would be told at once to nobody, again and again.
                self._news.clear()
            except Exception:
                # A defect here must not take the breakers of this process out of the cluster for good.
                _logger.exception("%s cannot agree with the board of breakers", self._breakers.process)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._news.wait()
