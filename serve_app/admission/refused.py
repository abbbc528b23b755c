"""How many were refused within about the last second."""

from __future__ import annotations


class RefusedLately:
    """Counts by whole seconds: what the last one had counts for its part that is still within a second."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._before = 0

    def note(self, now: float) -> float:
        """Count one, and return how many there were within the last second."""
        second = int(now)
        if second != self._second:
            self._before = self._count if second == self._second + 1 else 0
            self._count = 0
            self._second = second
        self._count += 1
        return self._count + self._before * (1 - (now - second))
