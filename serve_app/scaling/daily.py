"""What the same time of former days was like."""

from __future__ import annotations

DAY_S = 86_400.0
SLOT_S = 300.0
_SLOTS = int(DAY_S / SLOT_S)
_NEWEST_WEIGHT = 0.5
_GROWTH_MAX = 4.0
"""Load that is forecast from former days is at most so many times that of now: a quiet night tells little of noon."""


class DailyProfile:
    """The mean of each five minutes of the day, over former days; the newest counts for half.

    Source: the seasonal part of Holt and Winters (Winters, Forecasting Sales by Exponentially Weighted Moving Averages,
    Management Science 6:3, 1960), as a ratio to now, so that a day that is busier than those before stays so.
    """

    def __init__(self) -> None:
        self._means: list[float | None] = [None] * _SLOTS
        self._slot: int | None = None
        self._sum = 0.0
        self._count = 0

    def add(self, at: float, value: float) -> None:
        """Add the value of a moment, in seconds since the epoch; times rise."""
        slot = _slot(at)
        if slot != self._slot:
            self._close()
            self._slot, self._sum, self._count = slot, 0.0, 0
        self._sum += value
        self._count += 1

    def growth(self, now: float, until: float) -> float | None:
        """Return the most that the load has become between two moments, as a multiple of that of now; None if unknown.

        ``until`` is less than a day ahead.
        """
        present = self._at(now)
        if not present:
            return None
        moments = [now + SLOT_S * step for step in range(1, int((until - now) / SLOT_S) + 1)]
        ahead = [value for moment in [*moments, until] if (value := self._at(moment)) is not None]
        return min(_GROWTH_MAX, max(ahead) / present) if ahead else None

    def _at(self, at: float) -> float | None:
        """Return what a moment was like, between the middles of the two slots that are next to it."""
        place = at / SLOT_S - 0.5
        before, after = self._means[int(place) % _SLOTS], self._means[(int(place) + 1) % _SLOTS]
        if before is None or after is None:
            return None
        return before + (place - int(place)) * (after - before)

    def _close(self) -> None:
        if self._slot is None or not self._count:
            return
        mean, former = self._sum / self._count, self._means[self._slot]
        self._means[self._slot] = mean if former is None else former + _NEWEST_WEIGHT * (mean - former)


def _slot(at: float) -> int:
    return int(at % DAY_S / SLOT_S)
