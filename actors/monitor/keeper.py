"""Takes up what the monitor before saved, and saves what the next one must know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set

from actors.monitor.memory import Memory
from actors.monitor.monitor import Monitor
from actors.monitor.saved import decoded, encoded
from actors.runtime.clock import Clock

SAVE_S = 60.0
MEMORY_TIMEOUT_S = 1.0
PATIENCE_S = 10.0
"""For so long nobody is told of alerts by a monitor that does not know yet which of them were told: its memory may be
away for the very reason that there is an alert."""

_logger = logging.getLogger(__name__)


class Keeper:
    """Keeps what a monitor must not forget, in a memory that may be away: that is logged, and tried again."""

    def __init__(self, monitor: Monitor, memory: Memory | None, clock: Clock) -> None:
        self._monitor = monitor
        self._memory = memory
        self._clock = clock
        self._begun_at = clock.monotonic()
        self._saved_at = self._begun_at
        self._is_loaded = memory is None
        self._one_at_a_time = asyncio.Lock()

    @property
    def may_tell(self) -> bool:
        """Tell whether it is known which alerts were told, or that will not be known soon."""
        return self._is_loaded or self._clock.monotonic() - self._begun_at >= PATIENCE_S

    async def load(self) -> None:
        """Let the monitor take up what was saved, unless it did."""
        if self._is_loaded or self._memory is None:
            return
        try:
            async with asyncio.timeout(MEMORY_TIMEOUT_S):
                text = await self._memory.load()
        except Exception as away:
            _logger.warning("the monitor's memory does not answer: %r", away)
            return
        self._is_loaded = True
        try:
            if text is not None:
                self._monitor.take_up(decoded(text), self._clock.monotonic(), self._clock.now())
        except ValueError as wrong:
            # It is lost whatever is done: alerts and budgets begin anew.
            _logger.warning("what the monitor before saved cannot be read: %s", wrong)

    async def save(self, undelivered: Set[str], *, changed: bool = True) -> None:
        """Save, if something changed or the last time is a minute ago. ``undelivered`` are ids of alerts on their way.

        What could not be read yet is not written over.
        """
        is_due = changed or self._clock.monotonic() - self._saved_at >= SAVE_S
        if self._memory is None or not self._is_loaded or not is_due:
            return
        async with self._one_at_a_time:
            self._saved_at = self._clock.monotonic()
            text = encoded(self._monitor.save(self._clock.monotonic(), self._clock.now(), undelivered))
            try:
                async with asyncio.timeout(MEMORY_TIMEOUT_S):
                    await self._memory.save(text)
            except Exception as away:
                # It is tried again within a minute, and with the next change.
                _logger.warning("the monitor's memory does not take what is to be kept: %r", away)
