"""What should be changed, by rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from actors.monitor.measures import Measure, Windows, scalar

HOLDS_FOR = 3
"""Looks in a row, of ten seconds each."""


class Advice(NamedTuple):
    """What to change, why, and what is expected of it; ``setting`` is the name of what would be set, if it is one."""

    change: str
    why: str
    expected_gain: str
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A figure that is past a threshold."""

    measure: Measure
    threshold: float
    window_s: int = 60
    above: bool = True

    def value(self, windows: Windows) -> float | None:
        """Return the figure where it is past the threshold, None otherwise. Of several, the one that is furthest."""
        if self.above:
            value = scalar(self.measure, windows, self.window_s)
            return value if value is not None and value > self.threshold else None
        values = self.measure.read(windows, self.window_s).values()
        value = min(values, default=None)
        return value if value is not None and value < self.threshold else None


@dataclass(frozen=True, slots=True)
class AdviceRule:
    """When all conditions hold, ``advise`` says what should be done, given their figures in their order.

    ``advise`` is a function of a module, for rules cross processes. It may return None: the figures do not bear it out.
    """

    name: str
    conditions: tuple[Condition, ...]
    advise: Callable[[tuple[float, ...]], Advice | None]

    def look(self, windows: Windows) -> Advice | None:
        """Return what is advised now."""
        values: list[float] = []
        for condition in self.conditions:
            value = condition.value(windows)
            if value is None:
                return None
            values.append(value)
        return self.advise(tuple(values))


class Adviser:
    """Advise only what held for three looks in a row."""

    def __init__(self, rules: Sequence[AdviceRule]) -> None:
        self._held = dict.fromkeys(rules, 0)
        self.advice: tuple[Advice, ...] = ()

    def look(self, windows: Windows) -> None:
        """Look at the windows, every ten seconds."""
        advice: list[Advice] = []
        for rule in self._held:
            found = rule.look(windows)
            self._held[rule] = self._held[rule] + 1 if found is not None else 0
            if found is not None and self._held[rule] >= HOLDS_FOR:
                advice.append(found)
        self.advice = tuple(advice)
