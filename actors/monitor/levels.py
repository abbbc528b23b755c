"""How well it goes: five levels, for each figure and for all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from actors.monitor.measures import Measure

WORSE_AFTER_S = 2.0
BETTER_AFTER_S = 5.0
UNKNOWN_S = 60.0
"""For so long a figure that is gone stands as it did: that nothing is measured does not make it better."""


class Level(IntEnum):
    """A greater one is better."""

    CRITICAL = 0
    POOR = 1
    FAIR = 2
    GOOD = 3
    EXCELLENT = 4

    @property
    def word(self) -> str:
        """Return how it is written."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class LevelRule:
    """Which level a figure stands for.

    ``bounds`` are the last values that are Excellent, Good, Fair and Poor: rising, or falling where
    ``higher_is_better``. Of a figure that is parted by labels the worst counts.
    """

    metric: str
    measure: Measure
    bounds: tuple[float, float, float, float]
    unit: str = ""
    higher_is_better: bool = False
    window_s: int = 10

    def __post_init__(self) -> None:
        rising = sorted(self.bounds, reverse=self.higher_is_better)
        assert list(self.bounds) == rising, f"the bounds of {self.metric} are not in order"

    def level(self, value: float) -> Level:
        """Return the level of a value."""
        for level, bound in zip(reversed(Level), self.bounds, strict=False):
            if value >= bound if self.higher_is_better else value <= bound:
                return level
        return Level.CRITICAL

    def worst(self, values: Iterable[float]) -> float | None:
        """Return the worst of some values, None where there are none."""
        return min(values, default=None) if self.higher_is_better else max(values, default=None)


class LevelView(NamedTuple):
    """The level of a figure, and why; ``value`` is None where there is nothing to judge: then the level is what it
    was, and Excellent after a minute."""

    metric: str
    value: float | None
    unit: str
    level: Level
    reason: str


class Overall(NamedTuple):
    """The level of all, and the worst that it comes from."""

    level: Level
    reason: str


class Steady:
    """A level that gets worse only if that lasts for two seconds, and better if that lasts for five.

    A figure that wavers about a bound is shown at the worse of the two levels, and does not flap.
    """

    __slots__ = ("_candidate", "_since", "shown")

    def __init__(self) -> None:
        self.shown = Level.EXCELLENT
        self._candidate = Level.EXCELLENT
        self._since = 0.0

    def see(self, level: Level, now: float) -> Level:
        """Take what the level is now and return which is shown."""
        if level == self.shown:
            self._candidate = level
            return level
        going_on = (level < self.shown) == (self._candidate < self.shown) and self._candidate != self.shown
        if not going_on:
            self._since = now
        # Of those that were seen meanwhile, the one that is nearest to what is shown has lasted all the time.
        nearest = max if level < self.shown else min
        self._candidate = nearest(level, self._candidate) if going_on else level
        if now - self._since >= (WORSE_AFTER_S if level < self.shown else BETTER_AFTER_S):
            self.shown, self._candidate, self._since = self._candidate, level, now
        return self.shown


class Judge:
    """Keeps the level of each figure."""

    def __init__(self, rules: Sequence[LevelRule]) -> None:
        self._rules = {rule.metric: (rule, Steady()) for rule in rules}
        self._known_at: dict[str, float] = {}

    def see(self, metric: str, values: Iterable[float], now: float) -> LevelView:
        """Take the figures of a metric and return its level."""
        rule, steady = self._rules[metric]
        value = rule.worst(values)
        if value is not None:
            self._known_at[metric] = now
            level = steady.see(rule.level(value), now)
        elif now - self._known_at.get(metric, -UNKNOWN_S) < UNKNOWN_S:
            level = steady.shown
        else:
            level = steady.see(Level.EXCELLENT, now)
        return LevelView(metric, value, rule.unit, level, _reason(rule, value, level))


def overall(levels: Sequence[LevelView], alerts: Iterable[tuple[str, Level]]) -> Overall:
    """Return the worst of the levels of all figures and of what firing alerts say, which are names with levels."""
    worst = Overall(Level.EXCELLENT, "every figure is within its best bound")
    for view in levels:
        if view.level < worst.level:
            worst = Overall(view.level, view.reason)
    for reason, level in alerts:
        if level < worst.level:
            worst = Overall(level, reason)
    return worst


def _reason(rule: LevelRule, value: float | None, level: Level) -> str:
    if value is None:
        was = "" if level is Level.EXCELLENT else f"; it was {level.word} before"
        return f"{rule.metric}: nothing was measured{was}"
    unit = f" {rule.unit}" if rule.unit else ""
    now = rule.level(value)
    if now != level:
        return f"{rule.metric} is {value:.4g}{unit}, which is {now.word}; it was {level.word} a moment ago"
    side = ("at least", "below") if rule.higher_is_better else ("at most", "above")
    # The last bound that it keeps, or the Poor one that it does not.
    kept = level is not Level.CRITICAL
    bound = rule.bounds[Level.EXCELLENT - level] if kept else rule.bounds[-1]
    return f"{rule.metric} is {value:.4g}{unit}: {level.word} is {side[0] if kept else side[1]} {bound:.4g}{unit}"
