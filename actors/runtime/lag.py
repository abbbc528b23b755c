"""Event-loop lag: how late the loop runs what is due, the standard sign of a loop that is blocked or overloaded."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

# Ten samples a second find a block of 100 ms, and cost next to nothing.
INTERVAL_S = 0.1
WINDOW_S = 10.0
# The weight of the newest sample: an average over about the last ten, one second.
WEIGHT = 0.2
# What a sample counts for in the steady lag at most. One pause of whatever length then adds 0.5 ms to it.
STEADY_SAMPLE_MAX_S = 0.0025


@dataclass(frozen=True, slots=True)
class LoopLag:
    """Lateness in seconds: its moving average, and its maximum over the window.

    ``steady_s`` is the average with each sample cut off at STEADY_SAMPLE_MAX_S: the wait of a queue, in which a single
    pause, such as a collection of garbage, hardly shows. Past that it only says that the loop is very late.
    """

    average_s: float
    max_s: float
    steady_s: float = 0.0


class LagWindow:
    """Keep the averages and the maximum of samples, told the time. The maximum is that of the last ``window_s``.

    The maximum costs O(1) a sample: a queue that only ever falls (Lemire, Streaming maximum-minimum filter, 2006).
    """

    def __init__(self, window_s: float = WINDOW_S, weight: float = WEIGHT) -> None:
        self._window_s = window_s
        self._weight = weight
        self._average_s = 0.0
        self._steady_s = 0.0
        self._falling: deque[tuple[float, float]] = deque()

    def add(self, lag_s: float, now: float) -> None:
        """Add a sample; one taken too early counts as none."""
        lag_s = max(0.0, lag_s)
        self._average_s += self._weight * (lag_s - self._average_s)
        self._steady_s += self._weight * (min(lag_s, STEADY_SAMPLE_MAX_S) - self._steady_s)
        while self._falling and self._falling[-1][1] <= lag_s:
            self._falling.pop()
        self._falling.append((now, lag_s))

    def read(self, now: float) -> LoopLag:
        """Return the figures at ``now``."""
        while self._falling and self._falling[0][0] <= now - self._window_s:
            self._falling.popleft()
        return LoopLag(self._average_s, self._falling[0][1] if self._falling else 0.0, self._steady_s)


class LoopLagProbe:
    """Sample the running loop's lag until ``stop``."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._window = LagWindow()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Sample the loop that runs now. Safe to repeat."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._schedule(self._loop)

    def stop(self) -> None:
        """End sampling; the figures stay. Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def read(self) -> LoopLag:
        """Return the lag, zero before the first sample."""
        return self._window.read(self._loop.time() if self._loop else 0.0)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._interval_s
        self._timer = loop.call_at(due, self._sample, loop, due)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._window.add(now - due, now)
        self._schedule(loop)
