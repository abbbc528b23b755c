"""The load that replicas report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from serve_app.scaling.load import ADMITTED, ARRIVED, CPU_S, IN_FLIGHT, Load, measure


class _Point(NamedTuple):
    timestamp: float
    value: float


def _counted(per_s: float, times: Sequence[float] = (0, 4, 8), base: float = 0.0) -> list[_Point]:
    return [_Point(at, base + per_s * at) for at in times]


def _metrics(**replicas: tuple[float, float, float, float]) -> dict[str, dict[str, list[_Point]]]:
    """Return the metrics of replicas, each by its processor, requests, those let in, and those in flight."""
    return {
        CPU_S: {name: _counted(values[0], base=7) for name, values in replicas.items()},
        ARRIVED: {name: _counted(values[1]) for name, values in replicas.items()},
        ADMITTED: {name: _counted(values[2]) for name, values in replicas.items()},
        IN_FLIGHT: {name: [_Point(8, values[3])] for name, values in replicas.items()},
    }


def _measured(**replicas: tuple[float, float, float, float]) -> Load:
    load = measure(_metrics(**replicas), window_s=4)
    assert load is not None
    return load


def test_the_load_of_all_replicas_is_added() -> None:
    """Processors that are busy, and requests that are in flight."""
    load = _measured(a=(0.5, 100, 100, 20), b=(0.25, 50, 50, 10))
    assert (load.at, load.replicas, load.in_flight) == (8, 2, 30)
    assert load.busy == load.asked == pytest.approx(0.75)
    assert not load.is_busy


def test_what_was_refused_counts_where_processors_are_the_bound() -> None:
    """Half was let in, so twice the processors are asked for."""
    load = _measured(a=(1.0, 200, 100, 500))
    assert load.is_saturated
    assert load.asked == pytest.approx(2.0)


def test_what_was_refused_for_the_payment_processor_does_not_count() -> None:
    """More replicas would not make that one quicker."""
    assert _measured(a=(0.3, 200, 100, 500)).asked == pytest.approx(0.3)


def test_a_replica_that_reported_once_has_no_rate_yet() -> None:
    """Nor does one that never did; without any other nothing is known."""
    metrics = {CPU_S: {"new": [_Point(8, 3.0)]}}
    assert measure(metrics, 4) is None
    assert measure({}, 4) is None


def test_only_the_window_counts() -> None:
    """What was before it is gone at once, so that a step shows."""
    points = [_Point(0, 0), _Point(4, 0), _Point(8, 4)]
    load = measure({CPU_S: {"a": points}}, window_s=4)
    assert load is not None
    assert load.busy == pytest.approx(1.0)
