"""What monitoring costs, from windows of a gateway with it and of one without."""

from __future__ import annotations

import pytest

from tests.bench.load import Load
from tests.bench.monitoring import costs, micro
from tests.bench.window import Window


def _window(requests: int, replicas_s: float, actors_s: float = 0.1) -> Window:
    load = Load(requests, 5.0, 1.0, 2.0, 0, 9.0)
    cpu = {"easypay replicas": replicas_s, "actors": actors_s, "load generator": 9.0}
    return Window("a", 32, 0, load, cpu)


def test_the_monitor_s_own_process_is_part_of_the_cost() -> None:
    """The load generator is not; more payments in as much time are cheaper."""
    every, replicas = costs([(_window(1000, 3.0, 0.5), _window(2000, 6.0))] * 3)
    assert (every.with_us, every.without_us) == pytest.approx((3500, 3050))
    assert replicas.ratio.ratio == pytest.approx(1.0)
    assert every.ratio.ratio == pytest.approx(3500 / 3050)


@pytest.mark.parametrize(("replicas_s", "met"), [([3.01, 3.02, 2.99], True), ([3.0, 3.4, 3.0], False)])
def test_the_target_is_met_where_the_whole_interval_is_below_it(replicas_s: list[float], met: bool) -> None:
    """Not where only the middle is."""
    every, replicas = costs([(_window(1000, with_s), _window(1000, 3.0)) for with_s in replicas_s])
    assert (every.met, replicas.met) == (met, None)


def test_the_parts_cost_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark measures what it names, however slow the machine is."""
    monkeypatch.setattr("tests.bench.monitoring._ROUNDS", 3)
    monkeypatch.setattr("tests.bench.monitoring._CALLS", 2000)
    assert micro().keys() == {"a request", "a stage of an attempt", "a report of a process"}
