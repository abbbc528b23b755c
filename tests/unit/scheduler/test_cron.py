"""Due times of schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from actors.scheduler.cron import MISSED_MAX, CatchUp, Cron, Crons, Every, Schedule

_DAY = datetime(2025, 3, 30, tzinfo=UTC)


def _at(hour: int, minute: int = 0, second: float = 0) -> datetime:
    return _DAY + timedelta(hours=hour, minutes=minute, seconds=second)


def test_a_cron_is_due_at_its_minutes_in_utc() -> None:
    """After the last firing, up to now and with it."""
    cron = Cron("30 */2 * * *")
    assert cron.newest(_at(1), _at(6, 30), 10) == [_at(2, 30), _at(4, 30), _at(6, 30)]
    assert cron.newest(_at(2, 30), _at(4, 29, 59.999), 10) == []
    assert cron.next_after(_at(2, 30)) == _at(4, 30)


def test_another_time_zone_changes_nothing() -> None:
    """Times are moments; the night in which clocks change has no hour twice."""
    there = timezone(timedelta(hours=5, minutes=30))
    cron = Cron("0 1 * * *")
    assert cron.newest(_at(0).astimezone(there), _at(2).astimezone(there), 10) == [_at(1)]


def test_only_the_newest_times_are_returned() -> None:
    """However many were missed, at the cost of those alone."""
    times = Cron("* * * * *").newest(datetime(1990, 1, 1, tzinfo=UTC), _at(0), 3)
    assert times == [_at(0) - timedelta(minutes=2), _at(0) - timedelta(minutes=1), _at(0)]
    assert Every(0.1).newest(datetime(1990, 1, 1, tzinfo=UTC), _at(0), 1) == [_at(0)]


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "* * * * * *", "61 * * * *", "* 24 * * *", "0 0 30 2 *", "a * * * *", "*/0 * * * *"]
)
def test_a_wrong_expression_is_refused_by_name(expression: str) -> None:
    """Also one that matches no day, and one with seconds."""
    with pytest.raises(ValueError, match="cron") as caught:
        Cron(expression)
    assert repr(expression) in str(caught.value)


@pytest.mark.parametrize("period_s", [0.0, -1.0, 0.05, float("nan"), float("inf")])
def test_a_period_out_of_range_is_refused(period_s: float) -> None:
    """The error says what is possible."""
    with pytest.raises(ValueError, match="every_s is"):
        Every(period_s)


def test_a_period_is_counted_from_a_fixed_time() -> None:
    """So a restart moves nothing, and no time is due twice."""
    every = Every(15.0)
    assert every.newest(_at(0, 0, 14.9), _at(0, 0, 45), 10) == [_at(0, 0, 15), _at(0, 0, 30), _at(0, 0, 45)]
    assert every.newest(_at(0, 0, 45), _at(0, 0, 59.9), 10) == []
    assert every.next_after(_at(0, 0, 45)) == _at(0, 1)


@pytest.mark.parametrize("schedule", [Cron("*/7 3-5 * * *"), Every(97.0), Every(0.7)])
def test_however_time_is_cut_there_are_no_gaps_and_no_doubles(schedule: Schedule) -> None:
    """Looked at often or seldom, the same times are due, and each is what comes after the one before."""
    start, end = _at(2), _at(2) + timedelta(hours=4)
    whole = schedule.newest(start, end, 100_000)
    cut, moment = [], start
    while moment < end:
        later = min(end, moment + timedelta(seconds=613.7))
        cut += schedule.newest(moment, later, 100_000)
        moment = later
    assert cut == whole
    assert [schedule.next_after(time) for time in (start, *whole[:-1])] == whole


def test_missed_times_are_made_up_or_the_last_alone() -> None:
    """As the definition says, again until they are fired, and at most `MISSED_MAX`."""
    minutely = Cron("* * * * *")
    crons = Crons(
        {"each": (minutely, CatchUp.EACH), "last": (minutely, CatchUp.LAST)}, dict.fromkeys(("each", "last"), _at(0))
    )
    assert crons.next_at() == _at(0, 1)
    for _ in range(2):
        each, last = crons.due(_at(0, 3, 30))
        assert each.times == (_at(0, 1), _at(0, 2), _at(0, 3))
        assert last.times == (_at(0, 3),)
        assert each.former_at == last.former_at == _at(0)
        assert each.last_at == last.last_at == _at(0, 3)
    crons.fired("each", each.last_at)
    assert [firing.name for firing in crons.due(_at(0, 3, 30))] == ["last"]
    crons.fired("last", _at(0, 3))
    assert crons.due(_at(0, 3, 59)) == []
    assert len(crons.due(_at(20))[0].times) == MISSED_MAX


def test_a_firing_that_comes_late_moves_nothing_back() -> None:
    """The table may say less than is known."""
    crons = Crons({"a": (Every(60.0), CatchUp.LAST)}, {"a": _at(1)})
    crons.fired("a", _at(0))
    assert crons.next_at() == _at(1, 1)
