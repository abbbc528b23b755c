"""Time as an argument: the cores take a ``Clock`` and never read one of their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Two readings: the calendar for what is stored, the monotonic one for what is measured."""

    def now(self) -> datetime:
        """Return the aware time in UTC. It may step back."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never step back. They compare only within one process."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock for tests that moves only by ``advance``."""

    __slots__ = ("_monotonic", "_now")

    def __init__(self, start: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both readings forward by the same ``seconds``, which must not be negative."""
        assert seconds >= 0, "a clock does not run backwards"
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)
