"""What a measure must show."""

from __future__ import annotations

import random

import pytest

from actors.optimizer.decision import Bounds, Gain, judge, paired_gain


def _gain(low: float, high: float, share: float) -> Gain:
    return Gain(100.0, 100.0 * (1 - share), low, high)


def test_a_clear_gain_survives_one_disturbed_pair() -> None:
    """One measure that took ten times as long says nothing about the index."""
    before = [10.0, 11.0, 10.5, 100.0, 10.2, 9.9]
    gain = paired_gain(before, [1.0, 1.1, 1.0, 1.2, 1.0, 10.0])
    assert gain.low > 0.05
    assert judge(gain, [gain], 0.0, Bounds()).keeps


def test_noise_is_no_gain() -> None:
    """In at most one of twenty cases is it taken for one."""
    rng = random.Random(3)
    taken = 0
    for _ in range(400):
        before = [rng.lognormvariate(0, 0.3) for _ in range(6)]
        after = [rng.lognormvariate(0, 0.3) for _ in range(6)]
        taken += judge(paired_gain(before, after), [], 0.0, Bounds()).keeps
    assert taken <= 20


@pytest.mark.parametrize(
    ("workload", "statements", "write_loss", "reason"),
    [
        (_gain(0.04, 0.6, 0.3), [], 0.0, "not beyond noise"),
        (_gain(0.2, 0.4, 0.01), [], 0.0, "not beyond noise"),
        (_gain(0.2, 0.4, 0.3), [_gain(-0.5, -0.2, -0.3)], 0.0, "a statement becomes 30.0% slower"),
        (_gain(0.9, 0.99, 0.95), [], 0.11, "writes would be 11.0% slower"),
    ],
)
def test_what_it_costs_or_does_not_give_ends_it(
    workload: Gain, statements: list[Gain], write_loss: float, reason: str
) -> None:
    """The reason names the bound."""
    verdict = judge(workload, statements, write_loss, Bounds())
    assert not verdict.keeps
    assert reason in verdict.reason


def test_a_statement_that_may_be_slower_by_chance_does_not_end_it() -> None:
    """Its interval reaches to where it is not."""
    assert judge(_gain(0.2, 0.4, 0.3), [_gain(-0.5, 0.1, -0.2)], 0.05, Bounds()).keeps
