"""When tasks run by themselves. Times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from itertools import islice
from typing import Protocol

from cronsim import CronSim, CronSimError

MISSED_MAX = 100
"""How many missed times are made up, the newest."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CatchUp(Enum):
    """What is done about several times that have passed since the last firing."""

    LAST = auto()
    """One task, for the newest."""
    EACH = auto()
    """A task for each, the newest `MISSED_MAX` of them."""


class Schedule(Protocol):
    """A rule of times."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment; None: there is none within 50 years."""
        ...

    def newest(self, last: datetime, now: datetime, limit: int) -> list[datetime]:
        """Return the newest ``limit`` times t with last < t <= now, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression of five fields: minute, hour, day of month, month, day of week; in UTC.

    Raises:
        ValueError: the expression is wrong, or matches no time; the text names it.
    """

    expression: str

    def __post_init__(self) -> None:
        fields = len(self.expression.split())
        if fields != 5:
            raise ValueError(f"cron {self.expression!r} has {fields} fields, five are expected")
        try:
            found = self.next_after(_EPOCH)
        except CronSimError as error:
            raise ValueError(f"cron {self.expression!r}: {error}") from None
        if found is None:
            raise ValueError(f"cron {self.expression!r} matches no time")

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment; None: there is none within 50 years."""
        return next(CronSim(self.expression, moment.astimezone(UTC)), None)

    def newest(self, last: datetime, now: datetime, limit: int) -> list[datetime]:
        """Return the newest ``limit`` times t with last < t <= now, oldest first."""
        # Backwards from the first moment after now, which the iteration leaves out.
        after_now = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        times = []
        for time in islice(CronSim(self.expression, after_now, reverse=True), limit):
            if time <= last:
                break
            times.append(time)
        return times[::-1]


@dataclass(frozen=True, slots=True)
class Every:
    """Every ``period_s`` seconds, counted from 1970, so that a restart moves nothing.

    Raises:
        ValueError: the period is not from 0.1 s to a year.
    """

    period_s: float

    def __post_init__(self) -> None:
        if not 0.1 <= self.period_s <= 366 * 86_400:
            raise ValueError(f"every_s is {self.period_s}, from 0.1 to a year is possible")

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after a moment."""
        return self._time(self._count(moment) + 1)

    def newest(self, last: datetime, now: datetime, limit: int) -> list[datetime]:
        """Return the newest ``limit`` times t with last < t <= now, oldest first."""
        end = self._count(now)
        return [self._time(count) for count in range(max(self._count(last), end - limit) + 1, end + 1)]

    def _count(self, moment: datetime) -> int:
        """Return how many periods have ended by then."""
        return (moment - _EPOCH) // self._period

    def _time(self, count: int) -> datetime:
        return _EPOCH + count * self._period

    @property
    def _period(self) -> timedelta:
        return timedelta(seconds=self.period_s)


@dataclass(frozen=True, slots=True)
class Firing:
    """Tasks to enqueue for ``times``, and the new ``last_at``: in one transaction, conditional on the former."""

    name: str
    former_at: datetime
    last_at: datetime
    times: tuple[datetime, ...]


class Crons:
    """Schedules by name with the time of their last firing, which is kept in the table.

    A name that is new there counts as fired when it was first seen: nothing is made up for the time before.
    """

    def __init__(self, schedules: dict[str, tuple[Schedule, CatchUp]], last_at: dict[str, datetime]) -> None:
        missing = schedules.keys() - last_at.keys()
        assert not missing, f"no last firing of {sorted(missing)}"
        self._schedules = schedules
        self._last_at = {name: last_at[name] for name in schedules}

    def due(self, now: datetime) -> list[Firing]:
        """Return what has to be fired now, again until `fired`."""
        firings = []
        for name, (schedule, catch_up) in self._schedules.items():
            last_at = self._last_at[name]
            times = schedule.newest(last_at, now, MISSED_MAX if catch_up is CatchUp.EACH else 1)
            if times:
                firings.append(Firing(name, last_at, times[-1], tuple(times)))
        return firings

    def fired(self, name: str, last_at: datetime) -> None:
        """Note a time as done: by this scheduler, or as the table says, by another."""
        self._last_at[name] = max(last_at, self._last_at[name])

    def next_at(self) -> datetime | None:
        """Return when the next is due."""
        times = (schedule.next_after(self._last_at[name]) for name, (schedule, _) in self._schedules.items())
        return min((time for time in times if time is not None), default=None)
