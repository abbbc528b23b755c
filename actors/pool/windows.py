"""Times in which the gateway holds fewer connections than it may, or none: for who works on the server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

WINDOW_MAX = timedelta(hours=24)
WINDOWS_MAX = 16

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SCHEDULED = re.compile(
    r"(?P<day>[a-z]{3}|daily) (?P<hour>\d\d):(?P<minute>\d\d) (?P<minutes>\d{1,4})m (?P<size>\d{1,4})"
)


@dataclass(frozen=True, slots=True)
class Window:
    """From ``starts_at`` until ``ends_at`` no more than ``connections`` are leased; 0: new work is held."""

    starts_at: datetime
    ends_at: datetime
    connections: int
    reason: str


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """A window that comes back each week, or each day where ``weekday`` is None. In UTC."""

    weekday: int | None
    starts: time
    lasts: timedelta
    connections: int

    @classmethod
    def parse(cls, text: str) -> WeeklyWindow:
        """Read "sun 03:00 30m 10": the day or "daily", the time in UTC, the minutes, the connections that are left.

        Raises:
            ValueError: it reads otherwise, or lasts more than a day.
        """
        found = _SCHEDULED.fullmatch(text.strip().lower())
        if found is None or found["day"] not in (*_DAYS, "daily"):
            raise ValueError(f"{text!r} is not like 'sun 03:00 30m 10' (day or daily, UTC, minutes, connections)")
        lasts = timedelta(minutes=int(found["minutes"]))
        if not timedelta() < lasts <= WINDOW_MAX:
            raise ValueError(f"{text!r}: a window lasts from one minute to a day")
        weekday = None if found["day"] == "daily" else _DAYS.index(found["day"])
        return cls(weekday, time(int(found["hour"]), int(found["minute"])), lasts, int(found["size"]))

    def at(self, now: datetime) -> Window | None:
        """Return the window that is open now, if any."""
        for days_ago in (0, 1):
            starts_at = datetime.combine(now.date() - timedelta(days=days_ago), self.starts, UTC)
            on_its_day = self.weekday is None or starts_at.weekday() == self.weekday
            if on_its_day and starts_at <= now < starts_at + self.lasts:
                return Window(starts_at, starts_at + self.lasts, self.connections, "scheduled")
        return None


class Windows:
    """Those of the schedule, and those that an operator opened."""

    def __init__(self, schedule: Sequence[WeeklyWindow] = ()) -> None:
        self._schedule = tuple(schedule)
        self._opened: list[Window] = []

    def open(self, window: Window, now: datetime) -> None:
        """Add a window of an operator.

        Raises:
            ValueError: it is over, lasts too long, or there are too many.
        """
        self._forget(now)
        if not now < window.ends_at <= now + WINDOW_MAX or window.starts_at >= window.ends_at:
            raise ValueError("a window ends in the future, within a day")
        if window.connections < 0:
            raise ValueError("connections: not below 0")
        if len(self._opened) >= WINDOWS_MAX:
            raise ValueError(f"there are {WINDOWS_MAX} windows already")
        self._opened.append(window)

    def close(self, now: datetime) -> int:
        """End the windows of operators; return how many there were. Those of the schedule stay."""
        self._forget(now)
        closed, self._opened = len(self._opened), []
        return closed

    def current(self, now: datetime) -> Window | None:
        """Return the open window that leaves the fewest connections, None where none is open."""
        self._forget(now)
        scheduled = (each.at(now) for each in self._schedule)
        found = [each for each in (*scheduled, *self._opened) if each is not None and each.starts_at <= now]
        return min(found, key=lambda window: (window.connections, -window.ends_at.timestamp()), default=None)

    def _forget(self, now: datetime) -> None:
        self._opened = [window for window in self._opened if window.ends_at > now]
