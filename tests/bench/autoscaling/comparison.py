"""The same trace under the predictive policy and under Serve's default, with the same delays and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from serve_app.autoscaling import predictive
from serve_app.scaling.policy import ScalingPolicy
from tests.bench.autoscaling.gateway import Machine, Outcome, SimulatedGateway
from tests.bench.autoscaling.serve_side import VirtualClock

REPLICAS_MIN, REPLICAS_MAX = 1, 16
WARM_UP_S = 1200
"""At the beginning, not counted: the number of replicas is that of the configuration, not of the load."""
_START_AT = 1_700_006_400.0
"""A midnight, UTC."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of both."""

    trace: str
    reactive: Outcome
    predictive: Outcome

    @property
    def late_ratio(self) -> float:
        """The predictive policy's time above the target as a part of the reactive one's; 1 where neither had any."""
        if not self.reactive.late_s:
            return float("inf") if self.predictive.late_s else 1.0
        return self.predictive.late_s / self.reactive.late_s

    @property
    def cost_ratio(self) -> float:
        """The predictive policy's replica-seconds as a part of the reactive one's."""
        return self.predictive.replica_s / self.reactive.replica_s


def compare(
    trace: str,
    arrivals: Sequence[float],
    machine: Machine,
    utilisation: float | None = None,
    warm_up_s: int = WARM_UP_S,
    in_flight_of: Machine | None = None,
) -> Compared:
    """Run both, with the same bounds and delays, and the same utilisation to aim at.

    ``in_flight_of`` is the machine that the default policy was configured for, where that is another one.
    """
    utilisation = utilisation or ScalingPolicy().utilisation
    ours = predictive(REPLICAS_MIN, REPLICAS_MAX, utilisation=utilisation)
    theirs = reactive(ours, in_flight_of or machine, utilisation)

    def run(config: AutoscalingConfig) -> Outcome:
        return SimulatedGateway(config, machine, VirtualClock(_START_AT)).run(arrivals, warm_up_s)

    return Compared(trace, run(theirs), run(ours))


def reactive(ours: AutoscalingConfig, machine: Machine, utilisation: float) -> AutoscalingConfig:
    """Return Serve's default policy with our delays, aiming at a utilisation as well as it can know how.

    By Little's law a replica at that utilisation has so many requests in flight: its rate times the time that each
    takes, at the processor and in the queue.
    """
    in_flight = utilisation * machine.rate_max * (machine.processor_s + machine.request_cpu_s / (1 - utilisation))
    values = {name: getattr(ours, name) for name in type(ours).model_fields}
    policy = AutoscalingPolicy()  # type: ignore[no-untyped-call]
    return AutoscalingConfig(**{**values, "policy": policy, "target_ongoing_requests": in_flight})
