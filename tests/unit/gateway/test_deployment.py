"""How Serve is told to run the gateway."""

from __future__ import annotations

from typing import Any

import pytest
from ray.serve.config import AutoscalingConfig

from cluster.bootstrap import scaling_of
from cluster.settings import Settings
from serve_app.autoscaling import PredictivePolicy
from serve_app.config import GatewayConfig
from serve_app.deployment import gateway


def _configure() -> GatewayConfig:
    raise AssertionError("called in a replica alone")


def _deployment(replicas: int | AutoscalingConfig) -> Any:
    return gateway(_configure, replicas=replicas)._bound_deployment


def test_a_fixed_number_is_not_scaled() -> None:
    """As it has always been, and is where HTTP_REPLICAS_MAX is not set."""
    assert scaling_of(Settings(http_replicas=3)) == 3
    assert _deployment(3)._deployment_config.autoscaling_config is None


def test_a_bound_above_it_switches_autoscaling_on() -> None:
    """Between both numbers, by our policy."""
    scaling = scaling_of(Settings(http_replicas=2, http_replicas_max=6))
    config = _deployment(scaling)._deployment_config.autoscaling_config
    assert (config.min_replicas, config.max_replicas) == (2, 6)
    assert config.policy.get_policy().__name__ == PredictivePolicy.__name__


@pytest.mark.parametrize(("replicas", "more"), [(1, 1), (2, 1), (3, 1), (6, 2)])
def test_a_redeploy_starts_new_replicas_before_it_stops_old_ones(replicas: int, more: int) -> None:
    """At least one, by the rule that Serve has for it."""
    percent = _deployment(replicas)._deployment_config.max_surge_percent
    assert (percent * replicas + 99) // 100 == more
