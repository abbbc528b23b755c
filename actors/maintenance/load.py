"""Whether the database is busy: by how many sessions run a statement on average.

That is the one sign that every process shares, whatever machine it is on: the wait for a connection, the lag of a loop
and the line of the admission are each process's own, and all follow from it where the database is what is scarce.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

SAMPLES = 20
SAMPLE_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Busy from ``busy`` active sessions on, until there are fewer than ``quiet``."""

    busy: float = 1.0
    quiet: float = 0.5

    def __post_init__(self) -> None:
        assert 0 < self.quiet <= self.busy


class Load:
    """Tells busy from quiet, with hysteresis: what lies between is what it was before."""

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self._thresholds = thresholds or Thresholds()
        self.is_busy = False
        self.sessions = 0.0

    def told(self, samples: Sequence[int]) -> bool:
        """Take the active sessions of some moments, and return whether it is busy."""
        self.sessions = fmean(samples)
        edge = self._thresholds.quiet if self.is_busy else self._thresholds.busy
        self.is_busy = self.sessions >= edge
        return self.is_busy


async def sample(
    count: Callable[[], Awaitable[int]], samples: int = SAMPLES, every_s: float = SAMPLE_EVERY_S
) -> list[int]:
    """Count some times within a second."""
    counts = []
    for _ in range(samples):
        counts.append(await count())
        await asyncio.sleep(every_s)
    return counts
