"""The gateway's autoscaling in Ray Serve: how many replicas, by a forecast of their load.

Serve's controller calls the policy at each turn of its loop, ten times a second, and waits for it: it takes what is in
the context, keeps what it learned in itself, and calls nobody. Serve pickles this module's own classes by value and
finds what they import by name, so the controller's machine must have the package, as every machine has.

What the policy has learned goes with the controller, and with a deployment of another configuration: it then holds
the number of replicas until the first reports, and knows the day's course again a day later.
"""

from __future__ import annotations

import time
from typing import Any

from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from serve_app.scaling.load import ADMITTED, ARRIVED, CPU_S, IN_FLIGHT, measure
from serve_app.scaling.policy import Scaling, ScalingPolicy

UPSCALE_DELAY_S = 10.0
"""A need that lasts this long is one: shorter than it takes a replica to start, and longer than most bursts."""
DOWNSCALE_DELAY_S = 300.0
LOOK_BACK_S = 20.0
"""Over how long Serve keeps what replicas report. They take a value at every fifth of it."""
_WINDOW_S = 4.0
"""Over how long load is measured: one of those fifths. The forecast evens noise out; what is new shows at once."""


class PredictivePolicy:
    """Asks for the replicas that the load will need by the time that they serve.

    Serve keeps to its bounds, waits for its delays, and takes the number that holds when they are over. Load is the
    processor time that requests take, not how many are in flight: a payment processor that takes ten times as long puts
    ten times as many in flight, and more replicas would not make it quicker.
    """

    def __init__(self, **policy: float) -> None:
        self._scaling = Scaling(ScalingPolicy(settle_s=UPSCALE_DELAY_S, **policy))

    def __call__(self, context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
        """Return how many replicas there should be, and no state: it is kept here."""
        now = context.current_time
        assert now is not None, "the controller says what time it is"
        wanted = self._scaling.replicas(
            measure(context.raw_metrics or {}, _WINDOW_S),
            running=context.current_num_replicas,
            wanted=context.target_num_replicas,
            now=now,
        )
        return wanted, {}


def replica_report(*, arrived: float, admitted: float, in_flight: float) -> dict[str, float]:
    """Return what a replica reports to the policy; the first two are counts since its start."""
    return {ARRIVED: arrived, ADMITTED: admitted, IN_FLIGHT: in_flight, CPU_S: time.process_time()}


def predictive(replicas: int, replicas_max: int, **policy: float) -> AutoscalingConfig:
    """Return the configuration that keeps between ``replicas`` and ``replicas_max``, both included.

    ``policy`` overrides values of `ScalingPolicy`.
    """
    return AutoscalingConfig(
        min_replicas=replicas,
        initial_replicas=replicas,
        max_replicas=replicas_max,
        upscale_delay_s=UPSCALE_DELAY_S,
        downscale_delay_s=DOWNSCALE_DELAY_S,
        look_back_period_s=LOOK_BACK_S,
        policy=AutoscalingPolicy(  # type: ignore[no-untyped-call]
            policy_function=PredictivePolicy, policy_kwargs=policy
        ),
    )
