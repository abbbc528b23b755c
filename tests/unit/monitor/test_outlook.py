"""Trends are sure before they are told, and forecasts hold as often as they say."""

from __future__ import annotations

import math
import random

import pytest

from actors.monitor.forecast import STEP_S, STEPS, ArrivalForecaster, saturates_in_s
from actors.monitor.trend import Trend, trend


def _samples(slope: float, noise: float, seed: int = 1, count: int = 30) -> list[tuple[float, float]]:
    chance = random.Random(seed)
    return [(10.0 * at, 100 + slope * at / 6 + chance.gauss(0, noise)) for at in range(count)]


def test_a_clear_slope_is_told_per_minute() -> None:
    """Whichever way, and though a few samples are wild."""
    samples = _samples(10, 2)
    for at in (3, 11, 25):
        samples[at] = (samples[at][0], 10_000.0)
    found = trend("x", samples)
    assert found is not None
    assert found.direction == "rising"
    assert found.slope_per_minute == pytest.approx(10, rel=0.15)
    assert found.confidence > 0.95
    falling = trend("x", _samples(-10, 2))
    assert falling is not None
    assert falling.direction == "falling"


def test_noise_is_steady_as_often_as_the_confidence_says() -> None:
    """Of 400 series without a trend at most one in ten is called one; 5 % would be expected."""
    directions = [found.direction for seed in range(400) if (found := trend("x", _samples(0, 20, seed))) is not None]
    assert len(directions) == 400
    assert sum(direction != "steady" for direction in directions) <= 40


@pytest.mark.parametrize("samples", [_samples(0, 0), _samples(0.3, 0.001), [(10.0 * at, 0.0) for at in range(30)]])
def test_what_hardly_changes_is_steady(samples: list[tuple[float, float]]) -> None:
    """However sure its slope is."""
    found = trend("x", samples)
    assert found is not None
    assert found.direction == "steady"


def test_a_few_samples_are_no_trend() -> None:
    """Seven."""
    assert trend("x", _samples(10, 0, count=7)) is None


def _wave(at: int) -> float:
    return 200 + 100 * math.sin(at / 100)


@pytest.mark.parametrize("load", [lambda _: 100.0, lambda at: 100 + at / 2, _wave])
def test_nine_of_ten_arrivals_lie_within_the_interval(load: object) -> None:
    """A minute later, of a steady load, one that rises, and one that comes in waves, with noise."""
    chance, forecaster, made, within = random.Random(7), ArrivalForecaster(), [], []
    for at in range(1500):
        rate = max(0.0, load(at) + chance.gauss(0, 10))  # type: ignore[operator]
        forecaster.add(rate)
        forecast = forecaster.forecast()
        made.append(forecast)
        before = made[at - STEPS] if at >= STEPS else None
        if at >= 300 and before is not None:
            within.append(before.low <= rate <= before.high)
    assert 0.82 <= sum(within) / len(within) <= 0.97


def test_no_forecast_before_there_is_something_to_go_by() -> None:
    """Half a minute."""
    forecaster = ArrivalForecaster()
    for _ in range(5):
        forecaster.add(10.0)
        assert forecaster.forecast() is None
    forecaster.add(10.0)
    assert forecaster.forecast() == (10.0, 10.0, 10.0)


def test_arrivals_reach_what_they_rise_to() -> None:
    """And never what they do not."""
    forecaster = ArrivalForecaster()
    for at in range(60):
        forecaster.add(100 + 5.0 * at)
    in_s = forecaster.reaches_in_s(forecaster.at(0) + 20)
    assert in_s is not None
    assert STEP_S <= in_s <= 60
    assert forecaster.reaches_in_s(1e6) is None


def test_when_a_resource_is_full() -> None:
    """From its own rise, if that is sure."""
    rise = Trend("memory", "rising", 0.02, 0.99)
    assert saturates_in_s(0.9, 1.0, rise) == pytest.approx(300)
    assert saturates_in_s(1.0, 1.0, None) == 0.0
    assert saturates_in_s(0.9, 1.0, rise._replace(direction="steady")) is None
    assert saturates_in_s(0.1, 1.0, rise._replace(slope_per_minute=0.001)) is None
