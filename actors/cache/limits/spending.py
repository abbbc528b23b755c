"""What one process has spent of a key's permits: what its shard has not heard of yet, and what it has."""

from __future__ import annotations

import math
from collections import deque

from actors.cache.limits.window import SlidingWindow

_HISTORY_TICKS = 60


class Spending:
    """The spends of one window. Those within ``tick_s`` are one group, as late as its last, until the shard has heard
    of them; after that within a second. ``total`` counts all that was ever spent, ``untold`` what the shard has not
    confirmed.
    """

    __slots__ = ("_grouped_at", "_groups", "_history", "_telling", "_tick_s", "_window_s", "total", "untold")

    def __init__(self, tick_s: float, window_s: float) -> None:
        self.total = 0
        self.untold = 0
        self._tick_s = tick_s
        self._window_s = window_s
        self._groups: deque[tuple[float, int]] = deque()
        self._grouped_at = -math.inf
        self._telling = 0
        self._history = SlidingWindow(window_s / _HISTORY_TICKS)

    def note(self, now: float) -> None:
        """Note one."""
        if now - self._grouped_at < self._tick_s:
            self._groups[-1] = (now, self._groups[-1][1] + 1)
        else:
            self._groups.append((now, 1))
            self._grouped_at = now
        self.total += 1
        self.untold += 1

    def undo(self) -> None:
        """Take back the last one, which was noted just now."""
        assert len(self._groups) > self._telling, "the shard has heard of it"
        last, count = self._groups.pop()
        if count > 1:
            self._groups.append((last, count - 1))
        else:
            self._grouped_at = -math.inf
        self.total -= 1
        self.untold -= 1

    def in_window(self, now: float) -> int:
        """Return how many were spent within the window, none left out."""
        self._history.expire(now)
        self._trim(now)
        return self._history.used + self.untold

    def falls_below_in_s(self, count: int, now: float) -> float:
        """Return in how many seconds less than so many will have been spent within the window."""
        too_many = self.in_window(now) - count + 1
        frees: list[tuple[float, int]] = [*self._history, *((at + self._window_s, spent) for at, spent in self._groups)]
        for until, spent in sorted(frees):
            too_many -= spent
            if too_many <= 0:
                return until - now
        return 0.0

    def tell(self, now: float) -> tuple[tuple[float, int], ...]:
        """Return what the shard has to hear, as pairs of seconds ago and how many, oldest first."""
        self._trim(now)
        self._telling = len(self._groups)
        # What comes now is not part of it.
        self._grouped_at = -math.inf
        return tuple((now - at, count) for at, count in self._groups)

    def confirm(self, now: float, *, is_known: bool) -> None:
        """The shard has heard what it was told last; where it does not know of what came before, that is untold."""
        before = [] if is_known else self._history.clear()
        for _ in range(self._telling):
            at, count = self._groups.popleft()
            self.untold -= count
            self._history.add(count, at + self._window_s)
        self._telling = 0
        self._history.expire(now)
        for until, count in reversed(before):
            self._groups.appendleft((until - self._window_s, count))
            self.total += count
            self.untold += count

    def untell(self) -> None:
        """It is not known whether the shard has heard."""
        self._telling = 0

    def _trim(self, now: float) -> None:
        """Drop groups that have left the window, unless the shard is being told of them."""
        while self._groups and not self._telling and self._groups[0][0] <= now - self._window_s:
            self.untold -= self._groups.popleft()[1]
            if not self._groups:
                self._grouped_at = -math.inf
