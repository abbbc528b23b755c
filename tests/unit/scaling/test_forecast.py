"""What is expected, and how long it takes to be ready for it."""

from __future__ import annotations

import math

import pytest

from serve_app.scaling.daily import DAY_S, DailyProfile
from serve_app.scaling.errors import ForecastErrors
from serve_app.scaling.forecast import Forecast
from serve_app.scaling.lead import LeadTime
from serve_app.scaling.trend import Trend


def test_a_line_is_found_again() -> None:
    """Its level and slope are those of the points."""
    trend = Trend()
    for at in range(0, 100, 5):
        trend.add(at, 2 + 0.1 * at)
    line = trend.line(60)
    assert line is not None
    assert (line.level, line.slope_per_s) == pytest.approx((11.5, 0.1))
    assert line.value(195) == pytest.approx(21.5)


def test_a_line_forgets_what_is_older_than_its_window() -> None:
    """A step is no trend any more once the window is past it."""
    trend = Trend()
    for at in range(200):
        trend.add(at, 1.0 if at < 100 else 5.0)
    line = trend.line(60)
    assert line is not None
    assert (line.level, line.slope_per_s) == pytest.approx((5.0, 0.0))


def test_no_load_is_below_zero() -> None:
    """However steeply it falls."""
    trend = Trend()
    trend.add(0, 10)
    trend.add(1, 5)
    line = trend.line(10)
    assert line is not None
    assert line.value(100) == 0.0


def test_one_point_has_no_slope_and_none_has_no_line() -> None:
    """Nothing is made up."""
    trend = Trend()
    assert trend.line(60) is None
    trend.add(5, 3)
    line = trend.line(60)
    assert line is not None
    assert (line.level, line.slope_per_s) == (3, 0)


def _two_days() -> DailyProfile:
    profile = DailyProfile()
    for at in range(0, int(1.5 * DAY_S), 60):
        hour = at % DAY_S / 3600
        profile.add(at, 4.0 if 9 <= hour < 18 else 1.0)
    return profile


def test_former_days_tell_of_a_rise_that_is_to_come() -> None:
    """Ten minutes before the shops open nothing else could."""
    opening = 2 * DAY_S + 9 * 3600
    assert _two_days().growth(opening - 600, opening + 300) == pytest.approx(4.0, rel=0.1)


def test_the_first_day_tells_nothing() -> None:
    """There was none before it."""
    profile = DailyProfile()
    profile.add(0, 1.0)
    assert profile.growth(0, 600) is None


def test_growth_is_bounded() -> None:
    """A minute of silence tells little of noon."""
    profile = DailyProfile()
    for at in range(0, int(DAY_S) + 600, 60):
        profile.add(at, 100.0 if at % DAY_S > 3600 else 0.001)
    growth = profile.growth(DAY_S + 3000, DAY_S + 7200)
    assert growth == 4.0


def test_only_what_was_lacking_is_added() -> None:
    """A forecast that was too high costs money, not payments."""
    errors = ForecastErrors()
    errors.forecast(10, 5.0)
    errors.observe(10, 1.0)
    assert errors.lacking == 0.0
    short = ForecastErrors()
    short.forecast(10, 5.0)
    short.observe(9, 50.0)
    assert short.lacking == 0.0
    short.observe(10, 8.0)
    assert short.lacking == pytest.approx(3.0)


def test_a_rise_is_followed_into_the_future() -> None:
    """By the time that replicas come, it has gone on."""
    forecast = Forecast(margin=1.0)
    for at in range(0, 300, 5):
        forecast.add(at, 1 + at / 100)
    assert forecast.most_until(295, 100) == pytest.approx(1 + 3.95, rel=0.01)


def test_a_fall_is_not() -> None:
    """What serves now is needed until it has fallen."""
    forecast = Forecast(margin=1.0)
    for at in range(0, 300, 5):
        forecast.add(at, 10 - at / 100)
    assert forecast.most_until(295, 100) == pytest.approx(7.05, rel=0.01)


def test_the_lead_time_is_what_replicas_took() -> None:
    """It comes nearer with each that was waited for."""
    lead = LeadTime(first_s=10, most_s=300)
    now = 0.0
    for _ in range(20):
        lead.observe(running=1, wanted=2, now=now)
        lead.observe(running=1, wanted=2, now=now + 60)
        lead.observe(running=2, wanted=2, now=now + 100)
        now += 1000
    assert lead.seconds == pytest.approx(100, rel=0.01)


def test_replicas_that_never_come_are_far_away_not_for_ever() -> None:
    """A cluster that is full makes the lead time long, but not longer than its bound."""
    lead = LeadTime(first_s=10, most_s=300)
    for now in range(0, 10_000, 10):
        lead.observe(running=1, wanted=2, now=now)
    assert 200 < lead.seconds <= 300
    assert not math.isinf(lead.seconds)


def test_a_need_that_passes_teaches_nothing() -> None:
    """Nobody waited for those who were not wanted any more."""
    lead = LeadTime(first_s=10, most_s=300)
    lead.observe(running=1, wanted=2, now=0)
    lead.observe(running=1, wanted=1, now=50)
    lead.observe(running=1, wanted=1, now=60)
    assert lead.seconds == 10
