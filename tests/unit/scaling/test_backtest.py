"""The predictive policy against Serve's own, for a morning and a sale; `tests.bench.autoscaling` has whole days."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.bench.autoscaling.comparison import compare
from tests.bench.autoscaling.gateway import Machine
from tests.bench.autoscaling.traces import HOUR_S, Traces, recorded


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Serve logs each policy that it makes."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def test_it_is_late_half_as_often_for_a_fifth_more_at_most() -> None:
    """The steepest two hours of a day, with machines that take two minutes to come."""
    morning = Traces(1).daily_wave(days=1)[7 * HOUR_S + 1800 : 9 * HOUR_S + 1800]
    found = compare("morning", morning, Machine(start_s=120), utilisation=0.85)
    assert found.reactive.late_s > 60
    assert found.late_ratio <= 0.5
    assert found.cost_ratio <= 1.2


def test_a_sale_that_nobody_could_foresee_is_served_no_worse() -> None:
    """Six times the load within ten seconds."""
    sale = Traces(1).flash_sale()[HOUR_S - 1500 : HOUR_S + 1200]
    found = compare("sale", sale, Machine(start_s=30))
    assert found.reactive.late_s > 30
    assert found.predictive.late_s <= found.reactive.late_s
    assert found.predictive.refused <= found.reactive.refused
    assert found.cost_ratio <= 1.2


def test_a_slow_payment_processor_brings_no_replicas() -> None:
    """Ten times as many requests are in flight, and the gateway has no more to do; Serve's default adds replicas."""
    steady = [600.0] * 2400
    found = compare("slow", steady, Machine(processor_s=2.0), in_flight_of=Machine())
    assert max(found.predictive.replicas) == 2
    assert max(found.reactive.replicas) > 4


def test_an_access_log_is_read() -> None:
    """Each second has its requests, and the busiest minute is scaled to what was asked for."""
    line = '192.0.2.1 - - [10/Oct/2025:13:55:{:02d} +0200] "GET / HTTP/1.1" 200 5\n'
    lines = [line.format(second) for second in (0, 0, 1, 3, 59)]
    seconds = recorded([*lines, "not a line\n"], peak=50.0)
    assert seconds[:4] == pytest.approx([2 * 600, 600, 0, 600])
    assert len(seconds) == 60
    with pytest.raises(ValueError, match="common log format"):
        recorded(["nothing"], peak=1.0)
