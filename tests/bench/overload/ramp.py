"""The ramp: ask for more until there is no more, and so find the knee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# A step that brings less than this part of what it asked for is past the knee.
SERVED_MIN = 0.85


@dataclass(frozen=True, slots=True)
class Ramp:
    """Describe a ramp: rates from ``start_per_s`` on, each ``growth`` times the one before, for ``step_s`` each."""

    start_per_s: float
    growth: float
    steps_max: int
    step_s: int

    @property
    def rates(self) -> list[float]:
        """The rates in order."""
        return [self.start_per_s * self.growth**number for number in range(self.steps_max)]


@dataclass(frozen=True, slots=True)
class Step:
    """Hold what one step asked for and got, both a second."""

    offered_per_s: float
    goodput_per_s: float

    @property
    def is_past_knee(self) -> bool:
        """Whether less came back than was asked for."""
        return self.goodput_per_s < SERVED_MIN * self.offered_per_s


@dataclass(frozen=True, slots=True)
class Climb:
    """Hold the steps of a ramp. ``has_found_knee`` is false where even the last step was served in full."""

    steps: tuple[Step, ...]

    @property
    def peak_per_s(self) -> float:
        """The highest goodput: the knee is where that much is asked for."""
        return max(step.goodput_per_s for step in self.steps)

    @property
    def has_found_knee(self) -> bool:
        """Whether the last step asked for more than it got."""
        return self.steps[-1].is_past_knee


def climb(ramp: Ramp, goodput: Callable[[float], float]) -> Climb:
    """Offer one rate after the other until one is past the knee; ``goodput`` offers a rate and tells what it got."""
    steps: list[Step] = []
    for rate in ramp.rates:
        steps.append(Step(rate, goodput(rate)))
        if steps[-1].is_past_knee:
            break
    return Climb(tuple(steps))
