"""When a task that failed runs again."""

from __future__ import annotations

from dataclasses import dataclass


class Retry(Exception):
    """Raised by a task: run it again, after ``after_s`` where it knows better than its policy; counts as a failure."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason, after_s)
        self.reason = reason
        self.after_s = after_s

    def __str__(self) -> str:
        return self.reason


class GiveUp(Exception):
    """Raised by a task: it can never succeed. It is a dead letter at once."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: before try n + 1 a pause drawn evenly from
    [0, min(max_s, first_s * 2^(n-1))].

    ``steps_s`` replaces the exponential by bounds of its own, in this order, the last for all that follow; then jitter
    takes at most half of it, for a schedule that is promised. ``attempts_max`` is how often a task may fail before it
    is dead.

    Source: Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """

    attempts_max: int = 10
    first_s: float = 1.0
    max_s: float = 600.0
    steps_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.attempts_max < 1:
            raise ValueError(f"attempts_max is {self.attempts_max}, at least 1 is needed")
        if not 0 < self.first_s <= self.max_s:
            raise ValueError(f"first_s is {self.first_s}, it has to be above 0 and at most max_s ({self.max_s})")
        if any(step_s <= 0 for step_s in self.steps_s):
            raise ValueError(f"steps_s is {self.steps_s}, each has to be above 0")

    def delay_s(self, attempts: int, drawn: float) -> float | None:
        """Return the pause after the ``attempts``-th failure (from 1), None where it was the last.

        ``drawn`` is a number drawn evenly from [0, 1).
        """
        if attempts >= self.attempts_max:
            return None
        if self.steps_s:
            step_s = self.steps_s[min(attempts, len(self.steps_s)) - 1]
            return step_s * (1 - drawn / 2)
        exponent = min(attempts - 1, 60)
        return drawn * min(self.max_s, self.first_s * 2.0**exponent)
