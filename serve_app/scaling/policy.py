"""How many replicas there should be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from serve_app.scaling.forecast import Forecast
from serve_app.scaling.lead import LeadTime
from serve_app.scaling.load import Load

_LOAD_EVERY_S = 1.0
_FORECAST_MAX = 1.5
_QUEUE_MAX = 5.0
"""How many times what is seen is believed at most of a forecast, and of a queue."""
_IN_FLIGHT_WEIGHT = 0.02
"""Of the newest of the measurements from which is learned how many requests are in flight as a rule."""


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What the number of replicas is reckoned by; times in seconds.

    ``utilisation`` is the part of its processor that a replica is to use. ``margin`` is how many times what forecasts
    lacked is added to the next. ``settle_s`` is how long a need has to last before it is acted on, to which the lead
    time adds how long replicas take to come: ``lead_first_s`` until it is measured, ``lead_max_s`` at most.
    ``growth`` is how many times as many replicas there are to be where all are saturated and nobody knows the need.
    """

    utilisation: float = 0.8
    margin: float = 1.0
    settle_s: float = 10.0
    lead_first_s: float = 15.0
    lead_max_s: float = 300.0
    growth: float = 1.5


class Scaling:
    """Follows the load of one deployment; told the time."""

    def __init__(self, policy: ScalingPolicy) -> None:
        self._policy = policy
        self._forecast = Forecast(policy.margin)
        self._lead = LeadTime(policy.lead_first_s, policy.lead_max_s)
        self._last: Load | None = None
        self._expected = 0.0
        self._in_flight_each = 0.0

    @property
    def lead_s(self) -> float:
        """How far ahead is looked."""
        return self._policy.settle_s + self._lead.seconds

    def replicas(self, load: Load | None, *, running: int, wanted: int, now: float) -> int:
        """Return how many replicas there should be by the time that one which is started now would serve.

        ``load`` is what was measured last, None before anything was: then as many as there are wanted.
        """
        self._lead.observe(running, wanted, now)
        if load is None:
            return wanted
        if self._last is None or load.at >= self._last.at + _LOAD_EVERY_S:
            self._take(load, now)
        needed = max(1, math.ceil(self._expected / self._policy.utilisation))
        if load.is_saturated and running >= wanted:
            needed = max(needed, math.ceil(running * self._policy.growth))
        return needed

    def _take(self, load: Load, now: float) -> None:
        self._last = load
        self._learn_in_flight(load)
        self._forecast.add(load.at, load.asked)
        # A step is no trend: a line through it points at the sky.
        forecast = min(self._forecast.most_until(now, self.lead_s), _FORECAST_MAX * load.asked)
        self._expected = max(load.asked, forecast, self._asked_by_queue(load))

    def _asked_by_queue(self, load: Load) -> float:
        """Return the load that so many requests in flight stand for, by how many there are where it is not too much.

        Little's law: at one latency, requests in flight are in proportion to their rate. A queue makes them more, which
        is meant: it has to be worked off. Asked only where processors are the bound, for a payment processor that is
        slow has as many in flight.
        """
        if not load.is_busy or self._in_flight_each <= 0:
            return 0.0
        return min(load.in_flight / self._in_flight_each, _QUEUE_MAX * load.busy)

    def _learn_in_flight(self, load: Load) -> None:
        if load.busy > 0 and not load.is_busy:
            each = load.in_flight / load.busy
            weight = _IN_FLIGHT_WEIGHT if self._in_flight_each else 1.0
            self._in_flight_each += weight * (each - self._in_flight_each)
