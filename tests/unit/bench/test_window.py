"""What makes a window invalid."""

from __future__ import annotations

import pytest

from tests.bench.database import Counters
from tests.bench.load import Load, LoadFailed
from tests.bench.subjects import Subject
from tests.bench.target import Target
from tests.bench.window import Meter, check_payments


class Failing:
    """A load generator whose every run has a failure."""

    name = "failing"

    def run(self, target: Target, *, connections: int, seconds: float) -> Load:
        """Report one failed request."""
        del target, connections, seconds
        return Load(10, 1.0, 1.0, 1.0, 1, 0.0)

    def sample_failures(self, target: Target, *, connections: int) -> tuple[str, ...]:
        """Report what it said."""
        del target, connections
        return ("503 overloaded",)


def test_a_failed_request_fails_the_run_with_samples() -> None:
    """No number is printed for a run in which anything but 2xx came back."""
    subject = Subject("easypay", Target("http://127.0.0.1:1/", 201, {}))
    with pytest.raises(LoadFailed, match="1 of 10 requests failed\n  503 overloaded"):
        Meter(Failing(), {}).measure(subject, connections=1, seconds=1, turn=0)


@pytest.mark.parametrize("captured", [99, 105])
def test_payments_must_add_up(captured: int) -> None:
    """An answer without a payment is refused, and so is a payment without an answer."""
    with pytest.raises(LoadFailed, match="100 answered requests"):
        check_payments("easypay", Load(100, 1, 1, 1, 0, 0), Counters(0, 0, captured), connections=2)


def test_requests_in_flight_at_the_end_are_allowed() -> None:
    """What was sent before the end and after the warm-up's end may have made payments too."""
    check_payments("easypay", Load(100, 1, 1, 1, 0, 0), Counters(0, 0, 104), connections=2)
