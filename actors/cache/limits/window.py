"""Counts what is in a sliding window, each permit until the moment that it was counted for."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class SlidingWindow:
    """A log of permits, in order of the time at which each is free again.

    It is exact where ``tick_s`` is 0. Else times are rounded up to a multiple of it, so that permits are counted too
    long by less than ``tick_s`` and never too short, and it takes 16 bytes for each multiple in the window at most.

    Source: the sliding window log; the rounding makes of it the sliding window counter, without that one's
    interpolation, which admits too much after a burst.
    """

    __slots__ = ("_counts", "_tick_s", "_untils", "used")

    def __init__(self, tick_s: float) -> None:
        assert tick_s >= 0
        self._tick_s = tick_s
        self._untils = array("d")
        self._counts = array("Q")
        self.used = 0

    def add(self, count: int, until: float) -> None:
        """Count some permits up to a time; these may come in any order."""
        assert count > 0
        if self._tick_s:
            until = max(until, math.ceil(until / self._tick_s) * self._tick_s)
        place = bisect_left(self._untils, until)
        if place < len(self._untils) and self._untils[place] == until:
            self._counts[place] += count
        else:
            self._untils.insert(place, until)
            self._counts.insert(place, count)
        self.used += count

    def expire(self, now: float) -> None:
        """Forget what was counted up to now."""
        if not self._untils or self._untils[0] > now:
            return
        passed = bisect_right(self._untils, now)
        self.used -= sum(self._counts[:passed])
        del self._untils[:passed]
        del self._counts[:passed]

    def frees(self, count: int) -> float | None:
        """Return when so many of the permits are free again, None where there are fewer."""
        for until, freed in self:
            count -= freed
            if count <= 0:
                return until
        return None

    def clear(self) -> list[tuple[float, int]]:
        """Forget everything, and return it."""
        entries = list(self)
        del self._untils[:]
        del self._counts[:]
        self.used = 0
        return entries

    def __iter__(self) -> Iterator[tuple[float, int]]:
        """Yield pairs of a time and how many are counted up to it, in order."""
        return zip(self._untils, self._counts, strict=True)
