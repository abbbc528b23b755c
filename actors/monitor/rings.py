"""One series over the last minute, second by second."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from actors.runtime.histogram import Histogram

SLOTS = 64
"""Seconds that are kept: a minute, the present second, and what has not been told yet."""

Weights = tuple[tuple[int, float], ...]
"""Seconds, and which part of a batch belongs to each; the parts add up to one."""


def weights(end: float, span_s: float, first: int) -> Weights:
    """Spread what was counted in ``span_s`` seconds up to ``end`` evenly over the seconds that it touches.

    So a process whose reports come unevenly is no spike in one second and a gap in the next. What is older than the
    second ``first`` counts in that.
    """
    begin = max(end - span_s, float(first))
    last = max(int(end), first)
    if int(begin) >= last:
        return ((last, 1.0),)
    span = end - begin
    parts = ((second, (min(end, second + 1) - max(begin, second)) / span) for second in range(int(begin), last + 1))
    return tuple((second, part) for second, part in parts if part > 0)


class CounterRing:
    """The total of a counter, and by how much it rose in each of the last seconds. Half a kilobyte."""

    __slots__ = ("_last", "_slots", "total", "touched_at")

    def __init__(self) -> None:
        self.total: float = 0
        self.touched_at = 0.0
        self._slots = array("d", bytes(8 * SLOTS))
        self._last = 0

    def add(self, more: float, spread: Weights) -> None:
        """Add what was counted in some seconds."""
        self.total += more
        for second, part in spread:
            if second > self._last:
                self._advance(second)
            if second > self._last - SLOTS:
                self._slots[second % SLOTS] += more * part

    def risen(self, last: int, span_s: int) -> float:
        """Return by how much it rose in the ``span_s`` seconds of which ``last`` is the last."""
        first = max(last - span_s, self._last - SLOTS) + 1
        end = min(last, self._last) + 1
        if first >= end:
            return 0.0
        low, high = first % SLOTS, (end - 1) % SLOTS + 1
        if low < high:
            return sum(self._slots[low:high])
        return sum(self._slots[low:]) + sum(self._slots[:high])

    def _advance(self, second: int) -> None:
        for passed in range(max(self._last, second - SLOTS) + 1, second + 1):
            self._slots[passed % SLOTS] = 0.0
        self._last = second


class HistogramRing:
    """All that was recorded, and what was in each of the last seconds."""

    __slots__ = ("_seconds", "total", "touched_at")

    def __init__(self) -> None:
        self.total = Histogram()
        self.touched_at = 0.0
        self._seconds: dict[int, Histogram] = {}

    def add(self, more: Histogram, spread: Weights) -> None:
        """Add what was recorded; it counts in the last of the seconds, for a bucket cannot be parted."""
        self.total.add(more)
        second = spread[-1][0]
        here = self._seconds.get(second)
        if here is None:
            while self._seconds and (len(self._seconds) >= SLOTS or next(iter(self._seconds)) <= second - SLOTS):
                del self._seconds[next(iter(self._seconds))]
            here = self._seconds[second] = Histogram()
        here.add(more)

    def recorded(self, last: int, span_s: int) -> Iterator[Histogram]:
        """Yield what was recorded in each of the ``span_s`` seconds of which ``last`` is the last."""
        seconds = self._seconds
        for second in range(last - span_s + 1, last + 1):
            if second in seconds:
                yield seconds[second]
