"""What limits cost, from windows with and without them."""

from __future__ import annotations

import pytest

from tests.bench.limits_cost import costs
from tests.bench.load import Load
from tests.bench.window import Window


def _window(requests: int, replicas_s: float, generator_s: float = 9.0) -> Window:
    load = Load(requests, 5.0, 1.0, 2.0, 0, generator_s)
    cpu = {"easypay replicas": replicas_s, "cache shards": 0.1, "postgresql": 0.9, "load generator": generator_s}
    return Window("a", 32, 0, load, cpu)


def test_the_cost_is_that_of_a_payment_without_the_load_generator() -> None:
    """Over all processes, and of those that limits run in; more payments in as much time are cheaper."""
    every, own = costs([(_window(1000, 3.2, 50.0), _window(2000, 6.0))] * 3)
    assert (every.with_limit_us, every.without_us) == pytest.approx((4200, 3500))
    assert (own.with_limit_us, own.without_us) == pytest.approx((3300, 3050))
    assert every.ratio.ratio == pytest.approx(1.2)


@pytest.mark.parametrize(("replicas_s", "met"), [([3.01, 3.02, 2.99], True), ([3.0, 3.6, 3.0], False)])
def test_the_target_is_met_where_the_whole_interval_is_below_it(replicas_s: list[float], met: bool) -> None:
    """Not where only the middle is."""
    every, own = costs([(_window(1000, with_s), _window(1000, 3.0)) for with_s in replicas_s])
    assert (every.met, own.met) == (met, None)
