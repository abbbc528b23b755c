"""How many replicas there should be, and what of Serve's context that is reckoned from."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from ray.serve._private.common import DeploymentID
from ray.serve.config import AutoscalingContext

from serve_app.autoscaling import PredictivePolicy, predictive, replica_report
from serve_app.scaling.load import ADMITTED, ARRIVED, CPU_S, IN_FLIGHT, Load
from serve_app.scaling.policy import Scaling, ScalingPolicy


class _Point(NamedTuple):
    timestamp: float
    value: float


def _load(at: float, busy: float, *, in_flight: float = 0.0, replicas: int = 2) -> Load:
    return Load(at, busy, busy, in_flight, replicas)


def test_nothing_is_changed_before_anything_is_known() -> None:
    """A controller that has just started keeps what there is."""
    assert Scaling(ScalingPolicy()).replicas(None, running=3, wanted=3, now=0) == 3


def test_a_steady_load_has_the_replicas_that_it_takes() -> None:
    """At the utilisation that was asked for, and at least one."""
    scaling = Scaling(ScalingPolicy(utilisation=0.8))
    for now in range(0, 600, 5):
        wanted = scaling.replicas(_load(now, 2.2, replicas=3), running=3, wanted=3, now=now)
    assert wanted == 3
    idle = Scaling(ScalingPolicy())
    assert idle.replicas(_load(0, 0.0), running=1, wanted=1, now=0) == 1


def test_a_queue_asks_for_what_it_stands_for() -> None:
    """Where the processors are busy; five times what is seen at most."""
    scaling = Scaling(ScalingPolicy(utilisation=0.8))
    for now in range(0, 600, 5):
        scaling.replicas(_load(now, 1.0, in_flight=100), running=2, wanted=2, now=now)
    assert scaling.replicas(_load(600, 2.0, in_flight=480), running=2, wanted=2, now=600) == 6
    assert scaling.replicas(_load(605, 2.0, in_flight=9000), running=2, wanted=2, now=605) == 13


def test_many_in_flight_alone_ask_for_nothing() -> None:
    """It is the payment processor that is slow."""
    scaling = Scaling(ScalingPolicy(utilisation=0.8))
    for now in range(0, 600, 5):
        wanted = scaling.replicas(
            _load(now, 1.0, in_flight=100.0 if now < 300 else 5000.0), running=2, wanted=2, now=now
        )
    assert wanted == 2


def test_where_all_are_saturated_and_nothing_else_is_known_there_are_more() -> None:
    """Half as many again, once those that were asked for before are there."""
    scaling = Scaling(ScalingPolicy(utilisation=1.0))
    assert scaling.replicas(_load(0, 3.9, replicas=4), running=4, wanted=4, now=0) == 6
    assert scaling.replicas(_load(5, 3.9, replicas=4), running=4, wanted=6, now=5) == 4


def _context(metrics: dict[str, Any], now: float) -> AutoscalingContext:
    return AutoscalingContext(
        deployment_id=DeploymentID("gateway", "easypay"), deployment_name="gateway", app_name="easypay",
        current_num_replicas=1, target_num_replicas=1, running_replicas=[], total_num_requests=0.0,
        total_queued_requests=0.0, aggregated_metrics={}, raw_metrics=metrics, capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=8, policy_state={}, last_scale_up_time=None, last_scale_down_time=None,
        current_time=now, config=None,
    )  # fmt: skip


def test_the_policy_reads_what_replicas_report() -> None:
    """By the names that they report it under."""
    policy = PredictivePolicy(utilisation=0.8)
    series = {CPU_S: 0.75, ARRIVED: 300.0, ADMITTED: 300.0, IN_FLIGHT: 0.0}
    for now in range(8, 120, 4):
        metrics = {
            name: {"a": [_Point(at, at * per_s) for at in (now - 8, now - 4, now)]} for name, per_s in series.items()
        }
        wanted, state = policy(_context(metrics, now))
    assert (wanted, state) == (1, {})
    assert set(replica_report(arrived=1, admitted=1, in_flight=0)) == set(series)


def test_serve_carries_the_policy_and_its_values() -> None:
    """Serve makes it anew from what it has pickled; the bounds are those that were asked for."""
    config = predictive(2, 6, utilisation=0.6)
    made = config.policy.get_policy()(**config.policy.policy_kwargs)
    assert callable(made)
    assert (config.min_replicas, config.initial_replicas, config.max_replicas) == (2, 2, 6)
    with pytest.raises(TypeError, match="utilization"):
        config.policy.get_policy()(utilization=0.5)
