"""The board of breakers as an actor."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

import structlog

from actors.breaker.board import BreakerBoard
from actors.breaker.messages import BreakerView, Sync, SyncAnswer, Transition
from actors.runtime.breaker import State
from actors.runtime.clock import SystemClock
from actors.runtime.supervised import Supervised

BREAKER_BOARD_NAME = "breakers"

_logger = structlog.get_logger(__name__)


class CircuitBreakerActor(Supervised):
    """Keeps the board, and logs each transition of the cluster; what it promises stands at ``BreakerBoard``."""

    def __init__(self, code_version: str, configure_logging: Callable[[], None] = lambda: None) -> None:
        """``configure_logging`` is called in the actor's process, once, when it is asked to run."""
        super().__init__(code_version)
        self._configure_logging = configure_logging
        self._clock = SystemClock()
        self._board = BreakerBoard(secrets.token_hex(4))
        self._runs = False

    async def ensure_running(self) -> str:
        """Set the log up unless that was done, and return the version; safe to repeat."""
        if not self._runs:
            self._runs = True
            self._configure_logging()
        return await super().ensure_running()

    async def sync(self, sync: Sync) -> SyncAnswer:
        """Take a process's reports and return what holds. Safe to repeat."""
        answer, transitions = self._board.sync(sync, self._clock.monotonic(), self._clock.now())
        _log(transitions)
        return answer

    async def force(self, name: str, state: State | None, by: str) -> bool:
        """Hold a breaker open or closed, or release it; False where there is no such name. Safe to repeat."""
        transitions = self._board.force(name, state, by, self._clock.monotonic(), self._clock.now())
        _log(transitions or ())
        return transitions is not None

    async def views(self) -> tuple[BreakerView, ...]:
        """Return every breaker."""
        return self._board.views(self._clock.monotonic(), self._clock.now())


def _log(transitions: Iterable[Transition]) -> None:
    for each in transitions:
        _logger.warning(
            "a circuit breaker changed",
            breaker=each.name,
            before=each.before.value,
            after=each.after.value,
            by=each.by,
            forced=each.forced,
        )
