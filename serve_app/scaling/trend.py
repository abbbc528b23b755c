"""Where a value is going: a straight line through its last minutes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A value at a moment, and how much it changes in a second."""

    at: float
    level: float
    slope_per_s: float

    def value(self, at: float) -> float:
        """Return the value at a moment; none is below zero."""
        return max(0.0, self.level + self.slope_per_s * (at - self.at))


class Trend:
    """Keeps the points of a window, and fits a line by least squares.

    A line and not an average with a trend (Holt): it forgets a step within one window, whatever its size, and has one
    parameter, which follows from how far ahead it has to look.
    """

    def __init__(self, points_max: int = 1000) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=points_max)

    def add(self, at: float, value: float) -> None:
        """Add a point; times rise."""
        self._points.append((at, value))

    def line(self, window_s: float) -> Line | None:
        """Return the line through the points of the last ``window_s``, None without any point."""
        if not self._points:
            return None
        now = self._points[-1][0]
        points = [(at - now, value) for at, value in self._points if at >= now - window_s]
        mean_at = sum(at for at, _ in points) / len(points)
        mean = sum(value for _, value in points) / len(points)
        spread = sum((at - mean_at) ** 2 for at, _ in points)
        slope = sum((at - mean_at) * (value - mean) for at, value in points) / spread if spread > 0 else 0.0
        return Line(now, mean - slope * mean_at, slope)
