"""What is to come: arrivals in a minute, and when a resource is full."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from actors.monitor.trend import Trend

STEP_S = 5
AHEAD_S = 60
STEPS = AHEAD_S // STEP_S
SAMPLES_MIN = 6
COVERAGE = 0.9
SATURATION_MAX_S = 3600.0
"""Further than that nothing is said."""

_ALPHA, _BETA, _PHI = 0.3, 0.1, 0.98
"""The damping is the weakest that Hyndman et al. allow: with 0.9 a rise that lasts is foretold at half its slope."""
_Z = 1.6449
"""Of the normal distribution, for ``COVERAGE``."""
_ERRORS_MIN = 20
_ERRORS_MAX = 240


class ArrivalForecast(NamedTuple):
    """Arrivals a second in a minute's time; with a probability of 0.9 within ``low`` and ``high``."""

    per_s: float
    low: float
    high: float


class Saturation(NamedTuple):
    """In how many seconds a resource is full, if all goes on as it does."""

    resource: str
    in_s: float


class ArrivalForecaster:
    """Learn from means of five seconds each.

    Source: exponential smoothing with a damped trend (Gardner and McKenzie, Forecasting trends in time series,
    Management Science 31(10), 1985). The interval is that of what past forecasts were off by after the same minute
    (split conformal prediction: Vovk et al., Algorithmic Learning in a Random World, 2005), and until there are 20 such
    that of the model with the spread of its steps (Hyndman et al., Forecasting with Exponential Smoothing, 2008).
    """

    def __init__(self) -> None:
        self._level = 0.0
        self._slope = 0.0
        self._samples = 0
        self._squares = 0.0
        self._made: deque[float] = deque(maxlen=STEPS)
        self._errors: deque[float] = deque(maxlen=_ERRORS_MAX)

    def add(self, rate: float) -> None:
        """Take the mean rate of the next five seconds."""
        if len(self._made) == STEPS:
            self._errors.append(abs(rate - self._made[0]))
        if self._samples == 0:
            self._level = rate
        else:
            expected = self._level + _PHI * self._slope
            error = rate - expected
            self._squares += 0.1 * (error * error - self._squares) if self._samples > 1 else error * error
            self._level = expected + _ALPHA * error
            self._slope = _PHI * self._slope + _ALPHA * _BETA * error
        self._samples += 1
        self._made.append(self.at(STEPS))

    def at(self, steps: int) -> float:
        """Return the rate after so many steps of five seconds."""
        return max(0.0, self._level + self._slope * _damped(steps))

    def forecast(self) -> ArrivalForecast | None:
        """Return what is expected in a minute, None before half a minute was seen."""
        if self._samples < SAMPLES_MIN:
            return None
        expected = self.at(STEPS)
        margin = self._margin()
        return ArrivalForecast(expected, max(0.0, expected - margin), expected + margin)

    def reaches_in_s(self, rate: float) -> float | None:
        """Return after how many seconds the expected rate is so high, None where it never is or not in an hour."""
        for steps in range(1, int(SATURATION_MAX_S) // STEP_S + 1):
            if self.at(steps) >= rate:
                return float(steps * STEP_S)
        return None

    def _margin(self) -> float:
        if len(self._errors) >= _ERRORS_MIN:
            rank = math.ceil((len(self._errors) + 1) * COVERAGE) - 1
            return sorted(self._errors)[min(rank, len(self._errors) - 1)]
        factors = sum((_ALPHA + _ALPHA * _BETA * _damped(j)) ** 2 for j in range(1, STEPS))
        return _Z * math.sqrt(self._squares * (1 + factors))


def saturates_in_s(used: float, full_at: float, rise: Trend | None) -> float | None:
    """Return when a utilisation that rises as it does is ``full_at``: 0 where it is, None where it does not rise surely
    or would take more than an hour."""
    if used >= full_at:
        return 0.0
    if rise is None or rise.direction != "rising":
        return None
    in_s = (full_at - used) / rise.slope_per_minute * 60
    return in_s if in_s <= SATURATION_MAX_S else None


def _damped(steps: int) -> float:
    """Return the sum of the first powers of the damping."""
    return float(_PHI * (1 - _PHI**steps) / (1 - _PHI))
