"""Find the knee: the highest rate that a gateway still does in time. Pure: it is told of steps, and says the next."""

from __future__ import annotations

from dataclasses import dataclass

GOODPUT_LEAST = 0.95
"""The part of what was offered that has to be done for a step to count as held."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one rate. ``goodput_per_s``: payments that were done within the step, in each second of it;
    ``cores``: processors that all processes of the gateway kept busy."""

    offered_per_s: float
    goodput_per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    failed: int
    cores: float

    @property
    def per_core_s(self) -> float | None:
        """Payments a second for each processor that was busy with them, None where hardly any was."""
        return self.goodput_per_s / self.cores if self.cores > 0.01 else None

    def holds(self, p99_max_ms: float) -> bool:
        """Tell whether the gateway did what was asked of it, in time and without a failure."""
        done = self.goodput_per_s >= GOODPUT_LEAST * self.offered_per_s
        return done and self.p99_ms <= p99_max_ms and self.failed == 0


class Climb:
    """Multiply the rate until it does not hold, then halve the interval between the two.

    It ends after at most ``steps_max`` steps, or when the interval is within ``precision`` of the rate that holds.
    """

    def __init__(
        self,
        start_per_s: float,
        p99_max_ms: float,
        *,
        rate_max_per_s: float,
        factor: float = 1.6,
        precision: float = 0.08,
        steps_max: int = 16,
    ) -> None:
        assert start_per_s > 0
        assert factor > 1
        self._p99_max_ms = p99_max_ms
        self._rate_max_per_s = rate_max_per_s
        self._factor = factor
        self._precision = precision
        self._steps_max = steps_max
        self._next: float | None = min(start_per_s, rate_max_per_s)
        self._fails_at: float | None = None
        self.steps: list[Step] = []
        self.knee: Step | None = None
        """The best step that held."""

    @property
    def next_rate_per_s(self) -> float | None:
        """What to offer next, None at the end."""
        return self._next

    @property
    def is_bounded(self) -> bool:
        """Whether a rate was seen that the gateway does not hold: else the knee lies higher than was looked."""
        return self._fails_at is not None

    def tell(self, step: Step) -> None:
        """Take what became of the rate that was asked for."""
        assert self._next is not None
        self.steps.append(step)
        if step.holds(self._p99_max_ms):
            if self.knee is None or step.goodput_per_s > self.knee.goodput_per_s:
                self.knee = step
        else:
            self._fails_at = min(step.offered_per_s, self._fails_at or step.offered_per_s)
        self._next = self._choose()

    def _choose(self) -> float | None:
        if len(self.steps) >= self._steps_max:
            return None
        holds_at = self.knee.offered_per_s if self.knee is not None else 0.0
        if self._fails_at is None:
            return min(holds_at * self._factor, self._rate_max_per_s) if holds_at < self._rate_max_per_s else None
        if self._fails_at - holds_at <= self._precision * self._fails_at or self._fails_at < 2:
            return None
        return (self._fails_at + holds_at) / 2
