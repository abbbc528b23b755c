"""Levels know which direction is better, do not flap, and say why."""

from __future__ import annotations

import pytest

from actors.monitor.levels import BETTER_AFTER_S, UNKNOWN_S, WORSE_AFTER_S, Judge, Level, LevelRule, Steady, overall

LATENCY = LevelRule("p99", None, (100, 250, 500, 1000), "ms")  # type: ignore[arg-type]
HITS = LevelRule("hit rate", None, (0.95, 0.9, 0.8, 0.5), higher_is_better=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "value", "level"),
    [
        (LATENCY, 0, Level.EXCELLENT),
        (LATENCY, 100, Level.EXCELLENT),
        (LATENCY, 101, Level.GOOD),
        (LATENCY, 500, Level.FAIR),
        (LATENCY, 1000, Level.POOR),
        (LATENCY, 1001, Level.CRITICAL),
        (HITS, 0.99, Level.EXCELLENT),
        (HITS, 0.9, Level.GOOD),
        (HITS, 0.8, Level.FAIR),
        (HITS, 0.79, Level.POOR),
        (HITS, 0.1, Level.CRITICAL),
    ],
)
def test_a_value_has_a_level(rule: LevelRule, value: float, level: Level) -> None:
    """Its bounds belong to the better one."""
    assert rule.level(value) is level


def test_bounds_out_of_order_are_refused() -> None:
    """They would make every value the same."""
    with pytest.raises(AssertionError):
        LevelRule("p99", None, (1, 2, 3, 4), higher_is_better=True)  # type: ignore[arg-type]


def test_a_level_gets_worse_soon_and_better_later() -> None:
    """When the new one has lasted."""
    steady = Steady()
    assert steady.see(Level.POOR, 10.0) is Level.EXCELLENT
    assert steady.see(Level.CRITICAL, 10.0 + WORSE_AFTER_S / 2) is Level.EXCELLENT
    assert steady.see(Level.CRITICAL, 10.0 + WORSE_AFTER_S) is Level.POOR
    assert steady.see(Level.CRITICAL, 10.0 + 2 * WORSE_AFTER_S) is Level.CRITICAL
    assert steady.see(Level.GOOD, 20.0) is Level.CRITICAL
    assert steady.see(Level.EXCELLENT, 20.0 + BETTER_AFTER_S) is Level.GOOD


def test_a_level_that_wavers_is_shown_at_its_worse() -> None:
    """It does not flap: once a second it is one thing and then another."""
    steady = Steady()
    steady.see(Level.FAIR, 0.0)
    steady.see(Level.FAIR, WORSE_AFTER_S)
    shown = {steady.see(Level.GOOD if second % 2 else Level.FAIR, 3.0 + second) for second in range(100)}
    assert shown == {Level.FAIR}


def test_the_worst_of_several_counts_and_says_why() -> None:
    """Of the figures of a metric, of all metrics, and of what fires."""
    judge = Judge((LATENCY, HITS))
    views = [(judge.see("p99", (50, 300), now), judge.see("hit rate", (0.99, 0.2), now)) for now in (0.0, 2.0)][-1]
    assert [(view.value, view.level) for view in views] == [(300, Level.FAIR), (0.2, Level.CRITICAL)]
    assert views[0].reason == "p99 is 300 ms: fair is at most 500 ms"
    assert views[1].reason == "hit rate is 0.2: critical is below 0.5"
    assert overall(views, ()) == (Level.CRITICAL, views[1].reason)
    assert overall(views[:1], [("Down: it is", Level.POOR)]) == (Level.POOR, "Down: it is")
    assert overall((), ()).level is Level.EXCELLENT


def test_a_level_that_has_not_followed_yet_says_so() -> None:
    """Not that a good figure is a poor one."""
    judge = Judge([LATENCY])
    for now in (0.0, 2.0):
        judge.see("p99", [300.0], now)
    view = judge.see("p99", [50.0], 3.0)
    assert (view.level, view.value) == (Level.FAIR, 50.0)
    assert view.reason == f"p99 is 50 ms, which is {LATENCY.level(50.0).word}; it was fair a moment ago"


def test_what_is_measured_no_more_stands_as_it_did_for_a_minute() -> None:
    """That nothing is heard makes nothing better; after that nothing is known."""
    judge = Judge([LATENCY])
    for now in range(10):
        view = judge.see("p99", [600.0], float(now))
    assert view.level is Level.POOR
    for now in range(10, 10 + int(UNKNOWN_S) - 1):
        view = judge.see("p99", [], float(now))
        assert (view.value, view.level) == (None, Level.POOR)
    assert view.reason == "p99: nothing was measured; it was poor before"
    for now in range(69, 69 + int(BETTER_AFTER_S) + 1):
        view = judge.see("p99", [], float(now))
    assert (view.level, view.reason) == (Level.EXCELLENT, "p99: nothing was measured")


def test_what_is_not_measured_is_not_judged() -> None:
    """No traffic is no fault."""
    view = Judge((LATENCY,)).see("p99", (), 0.0)
    assert (view.value, view.level) == (None, Level.EXCELLENT)
