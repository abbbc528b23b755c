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
    def rising(self) -> list[float]:
        """The rates in order."""
        return [self.start_per_s * self.growth**number for number in range(self.steps_max)]

    @property
    def falling(self) -> list[float]:
        """As many rates below the first, each as far from the one before."""
        return [self.start_per_s / self.growth ** (number + 1) for number in range(self.steps_max)]


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
    """Hold the steps of a ramp."""

    steps: tuple[Step, ...]

    @property
    def peak_per_s(self) -> float:
        """The highest goodput: the knee is where that much is asked for."""
        return max(step.goodput_per_s for step in self.steps)

    @property
    def has_found_knee(self) -> bool:
        """Whether one step was served and another was past the knee."""
        return len({step.is_past_knee for step in self.steps}) == 2


def climb(ramp: Ramp, goodput: Callable[[float], float]) -> Climb:
    """Offer one rate after the other until one is past the knee; ``goodput`` offers a rate and tells what it got.

    Where the first is past it already, what it got may be less than the peak: then lower ones follow, until one is not.
    """
    steps: list[Step] = []
    for rate in ramp.rising:
        steps.append(_better_of_two(rate, goodput))
        if steps[-1].is_past_knee:
            break
    for rate in ramp.falling if steps[0].is_past_knee else []:
        steps.append(_better_of_two(rate, goodput))
        if not steps[-1].is_past_knee:
            break
    return Climb(tuple(steps))


def _better_of_two(rate: float, goodput: Callable[[float], float]) -> Step:
    """Return what a rate got; where that is past the knee try once more, for a neighbour may have had the machine."""
    first = Step(rate, goodput(rate))
    return Step(rate, max(first.goodput_per_s, goodput(rate))) if first.is_past_knee else first
