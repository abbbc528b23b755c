"""Finding the knee, on gateways that are a formula."""

from __future__ import annotations

import pytest

from cluster.trial.climb import Climb, Step

_P99_MAX_MS = 500.0


def _step(rate: float, capacity: float) -> Step:
    """Return what a gateway does that can do so many payments a second and no more."""
    over = rate > capacity
    return Step(rate, min(rate, capacity), 20, 2000 if over else 50, 0, 0, cores=min(rate, capacity) / 400)


def _climbed(capacity: float, *, start: float = 50, rate_max: float = 20_000, steps_max: int = 16) -> Climb:
    climb = Climb(start, _P99_MAX_MS, rate_max_per_s=rate_max, steps_max=steps_max)
    while (rate := climb.next_rate_per_s) is not None:
        climb.tell(_step(rate, capacity))
    return climb


@pytest.mark.parametrize("capacity", [7, 60, 443, 1000, 9_999])
def test_the_knee_is_found_within_its_precision(capacity: float) -> None:
    """Whether the first rate is below it or above it."""
    climb = _climbed(capacity)
    assert climb.knee is not None
    assert climb.is_bounded
    assert 0.9 * capacity <= climb.knee.goodput_per_s <= capacity
    assert climb.knee.per_core_s == pytest.approx(400)


def test_it_ends() -> None:
    """After so many steps, also where no rate holds at all."""
    assert len(_climbed(1_000_000, rate_max=1e9, steps_max=5).steps) == 5
    dead = _climbed(0.0)
    assert dead.knee is None
    assert len(dead.steps) <= 16


def test_a_bound_is_kept_and_told() -> None:
    """A gateway that holds the highest rate can do that much at least."""
    climb = _climbed(5000, rate_max=200)
    assert max(step.offered_per_s for step in climb.steps) == 200
    assert climb.knee is not None
    assert climb.knee.offered_per_s == 200
    assert not climb.is_bounded


@pytest.mark.parametrize(
    ("goodput", "p99_ms", "failed", "holds"),
    [(100, 50, 0, True), (95, 50, 0, True), (94, 50, 0, False), (100, 501, 0, False), (100, 50, 1, False)],
)
def test_a_rate_holds_if_it_is_done_in_time_without_failure(
    goodput: float, p99_ms: float, failed: int, holds: bool
) -> None:
    """All three."""
    assert Step(100, goodput, 10, p99_ms, 0, failed, 1).holds(_P99_MAX_MS) is holds


def test_one_noisy_step_does_not_end_the_search_too_low() -> None:
    """A knee is looked for between what held and what did not, so a step that fails by chance is looked at closer."""
    climb = Climb(100, _P99_MAX_MS, rate_max_per_s=10_000)
    climb.tell(_step(100, 1000))
    climb.tell(Step(160, 100, 20, 3000, 0, 0, 1))
    assert climb.next_rate_per_s == 130
