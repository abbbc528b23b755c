"""Serve's own autoscaling state of one deployment, in virtual time: its bounds, its delays, its merging of reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from ray.serve._private import autoscaling_state
from ray.serve._private.autoscaling_state import DeploymentAutoscalingState
from ray.serve._private.common import DeploymentID, ReplicaID, ReplicaMetricReport, TimeStampedValue
from ray.serve._private.config import DeploymentConfig
from ray.serve._private.deployment_info import DeploymentInfo
from ray.serve.autoscaling_policy import _apply_delay_logic
from ray.serve.config import AutoscalingConfig

_DEPLOYMENT = DeploymentID(name="gateway", app_name="easypay")
_RECORD_PART = 0.2
"""A replica takes its figures at every fifth of the look-back period."""


class VirtualClock:
    """A time that moves when told to, in seconds since the epoch."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    @contextmanager
    def in_serve(self) -> Iterator[None]:
        """Have Serve's autoscaling read this clock."""
        time = SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now)
        with (
            patch.object(autoscaling_state, "time", time),
            patch.dict(_apply_delay_logic.__globals__, {"time": time}),
        ):
            yield


class ReportingReplica:
    """The figures of one replica, as Serve's own store of them keeps and sends them."""

    def __init__(self, number: int, config: AutoscalingConfig, push_s: float) -> None:
        self.id = ReplicaID(unique_id=f"r{number:06d}", deployment_id=_DEPLOYMENT)
        self._look_back_s = config.look_back_period_s
        self._record_s = config.look_back_period_s * _RECORD_PART
        self._push_s = push_s
        self._recorded_at = self._pushed_at = float("-inf")
        self._series: dict[str, list[TimeStampedValue]] = {}

    def record(self, figures: Mapping[str, float], now: float) -> ReplicaMetricReport | None:
        """Take the figures if it is time, and return a report if that is due."""
        if now - self._recorded_at >= self._record_s:
            self._recorded_at = now
            for name, value in figures.items():
                self._series.setdefault(name, []).append(TimeStampedValue(now, value))
        if now - self._pushed_at < self._push_s:
            return None
        self._pushed_at = now
        since = now - self._look_back_s
        kept = {name: [point for point in points if point.timestamp >= since] for name, points in self._series.items()}
        self._series = {name: list(points) for name, points in kept.items()}
        return ReplicaMetricReport(self.id, kept, now)


class ServeAutoscaler:
    """Serve's state of the gateway's deployment."""

    def __init__(self, config: AutoscalingConfig, clock: VirtualClock) -> None:
        self._clock = clock
        self._state = DeploymentAutoscalingState(_DEPLOYMENT)
        deployment = DeploymentConfig.from_default(autoscaling_config=config)
        unused: Any = None
        self.target = self._state.register(DeploymentInfo(deployment, unused, 0, "job"), config.min_replicas)

    def report(self, report: ReplicaMetricReport) -> None:
        """Take a report as the controller does."""
        self._state.record_request_metrics_for_replica(report)

    def decide(self, running: list[ReplicaID]) -> int:
        """Return how many replicas there should be from now on."""
        self._state.update_running_replica_ids(running)
        before = self.target
        self.target = self._state.get_decision_num_replicas(before)
        if self.target != before:
            record = self._state.record_scale_up if self.target > before else self._state.record_scale_down
            record()  # type: ignore[no-untyped-call]
        return self.target

    def stopped(self, replica: ReplicaID) -> None:
        """Forget a replica."""
        self._state.on_replica_stopped(replica)
