"""The load to be expected by the time that a replica started now would serve."""

from __future__ import annotations

from serve_app.scaling.daily import DailyProfile
from serve_app.scaling.errors import ForecastErrors
from serve_app.scaling.trend import Trend

_WINDOW_LEADS = 3.0
_WINDOW_MIN_S, _WINDOW_MAX_S = 60.0, 600.0
"""The trend is that of three times as long as it is followed into the future: a shorter one follows noise."""


class Forecast:
    """Puts together what the last minutes and what former days say, and what such forecasts lacked."""

    def __init__(self, margin: float) -> None:
        """``margin`` is how many times what forecasts lacked is added."""
        self._margin = margin
        self._trend = Trend()
        self._daily = DailyProfile()
        self._errors = ForecastErrors()
        self._daily_errors = ForecastErrors()

    def add(self, at: float, value: float) -> None:
        """Add the load of a moment; times rise."""
        self._trend.add(at, value)
        self._daily.add(at, value)
        self._errors.observe(at, value)
        self._daily_errors.observe(at, value)

    def most_until(self, now: float, ahead_s: float) -> float:
        """Return the most that is to be expected from now on for ``ahead_s``; 0 before anything is known."""
        line = self._trend.line(min(_WINDOW_MAX_S, max(_WINDOW_MIN_S, _WINDOW_LEADS * ahead_s)))
        if line is None:
            return 0.0
        due = now + ahead_s
        expected = max(line.level, line.value(due))
        self._errors.forecast(due, expected)
        expected += self._margin * self._errors.lacking
        growth = self._daily.growth(now, due)
        if growth is None:
            return expected
        of_former_days = line.level * growth
        self._daily_errors.forecast(due, of_former_days)
        return max(expected, of_former_days + self._margin * self._daily_errors.lacking)
