"""Finding the knee."""

from __future__ import annotations

from tests.bench.overload.ramp import Ramp, climb

RAMP = Ramp(start_per_s=100, growth=2, steps_max=5, step_s=1)


def test_the_ramp_ends_at_the_first_step_past_the_knee() -> None:
    """With room for 300 a second, 400 is the first rate that is not served, and 300 the peak."""
    found = climb(RAMP, lambda rate: min(rate, 300))
    assert [step.offered_per_s for step in found.steps] == [100, 200, 400]
    assert found.has_found_knee
    assert found.peak_per_s == 300


def test_the_peak_may_lie_before_the_last_step() -> None:
    """A gateway that does less when more is asked is measured by what it can do."""
    served: dict[float, float] = {100: 100.0, 200: 190.0, 400: 60.0}
    found = climb(RAMP, served.__getitem__)
    assert found.peak_per_s == 190
    assert found.has_found_knee


def test_a_knee_that_is_out_of_reach_is_not_found() -> None:
    """The steps are bounded, and the result says that the last one was served."""
    found = climb(RAMP, lambda rate: rate)
    assert len(found.steps) == 5
    assert not found.has_found_knee


def test_a_ramp_that_starts_past_the_knee_goes_down() -> None:
    """A gateway that collapses at the first rate is asked for less until it serves that, and the peak is there."""
    served: dict[float, float] = {100: 20.0, 50: 30.0, 25: 25.0}
    found = climb(RAMP, served.__getitem__)
    assert [step.offered_per_s for step in found.steps] == [100, 50, 25]
    assert found.has_found_knee
    assert found.peak_per_s == 30


def test_one_bad_moment_does_not_end_the_ramp() -> None:
    """A step that fails is tried once more, and counts as the better of the two."""
    answers = iter([100.0, 50.0, 200.0, 150.0, 180.0])
    found = climb(RAMP, lambda _rate: next(answers))
    assert [(step.offered_per_s, step.goodput_per_s) for step in found.steps] == [(100, 100), (200, 200), (400, 180)]
