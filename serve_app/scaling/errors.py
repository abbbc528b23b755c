"""How far forecasts were off, to add to the next as much as they lacked as a rule."""

from __future__ import annotations

import math
from collections import deque

_MEMORY_S = 1800.0
_PENDING_MAX = 4000


class ForecastErrors:
    """Compares each forecast with what became of it.

    Only what was lacking counts: a forecast that was too high has cost money, not payments.
    """

    def __init__(self, memory_s: float = _MEMORY_S) -> None:
        self._memory_s = memory_s
        self._pending: deque[tuple[float, float]] = deque(maxlen=_PENDING_MAX)
        self._mean_square = 0.0
        self._at: float | None = None

    @property
    def lacking(self) -> float:
        """The root of the mean square of what forecasts of the last half hour lacked."""
        return math.sqrt(self._mean_square)

    def forecast(self, due: float, value: float) -> None:
        """Note what is forecast for a moment."""
        self._pending.append((due, value))

    def observe(self, at: float, value: float) -> None:
        """Settle the forecasts that are due."""
        while self._pending and self._pending[0][0] <= at:
            _, forecast = self._pending.popleft()
            weight = 1.0 if self._at is None else -math.expm1(-(at - self._at) / self._memory_s)
            lacked = max(0.0, value - forecast)
            self._mean_square += weight * (lacked * lacked - self._mean_square)
            self._at = at
