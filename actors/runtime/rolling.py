"""Counts over the last seconds, in constant memory."""

from __future__ import annotations


class RollingCounts:
    """Count events, and the marked ones among them, over the last ``window_s`` of a monotonic clock.

    The window moves by whole buckets: what is counted is as old as ``window_s`` at most, and never younger than
    ``window_s`` less one bucket. Adding is O(1), and so is the memory.
    """

    __slots__ = ("_all", "_bucket_s", "_buckets", "_last", "_marked")

    def __init__(self, window_s: float, buckets: int = 10) -> None:
        assert window_s > 0
        assert buckets > 0
        self._bucket_s = window_s / buckets
        self._buckets = buckets
        self._last = 0
        self._all = [0] * buckets
        self._marked = [0] * buckets

    def add(self, now: float, *, marked: bool = False) -> None:
        """Count one event."""
        index = self._moved(now)
        self._all[index] += 1
        if marked:
            self._marked[index] += 1

    def totals(self, now: float) -> tuple[int, int]:
        """Return how many events there were, and how many of them were marked."""
        self._moved(now)
        return sum(self._all), sum(self._marked)

    def clear(self) -> None:
        """Forget everything."""
        self._all = [0] * self._buckets
        self._marked = [0] * self._buckets

    def _moved(self, now: float) -> int:
        """Empty the buckets that the clock has passed since, and return the index of the present one."""
        bucket = int(now / self._bucket_s)
        if bucket > self._last:
            for passed in range(max(self._last + 1, bucket - self._buckets + 1), bucket + 1):
                self._all[passed % self._buckets] = self._marked[passed % self._buckets] = 0
            self._last = bucket
        return self._last % self._buckets
