"""The load that replicas report, as processors that would be busy if every request were served.

Each replica counts, since it started, the requests that arrived, those that were let in, and the processor time that
it took. Counts that never fall give a rate over whatever stretch of time there is, however irregular the reports.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

ARRIVED, ADMITTED, CPU_S = "easypay_arrived", "easypay_admitted", "easypay_cpu_s"
"""What each replica has counted since its start: requests, those that were let in, and seconds of processor time."""
IN_FLIGHT = "easypay_in_flight"
"""How many requests a replica has at the moment that wait, are worked on or are at a payment processor."""

BUSY = 0.85
"""The part of a processor from which on a replica may have more to do than it can show."""
SATURATED = 0.95
"""The part from which on it certainly has: the rest goes to the system's own work."""


class Point(Protocol):
    """A value and when it was taken, in seconds."""

    @property
    def timestamp(self) -> float: ...

    @property
    def value(self) -> float: ...


Metrics = Mapping[str, Mapping[Any, Sequence[Point]]]
"""The points of each replica, oldest first, by the name of the metric."""


@dataclass(frozen=True, slots=True)
class Load:
    """What all replicas had to do, until ``at``.

    ``busy`` is the processors that they kept busy, ``asked`` those that the requests would have taken which arrived.
    ``in_flight`` requests were there last. ``replicas`` took part in it.
    """

    at: float
    busy: float
    asked: float
    in_flight: float
    replicas: int

    @property
    def is_busy(self) -> bool:
        """Whether there may be more to do than can be seen: connections wait where nobody counts them."""
        return self.busy >= BUSY * self.replicas

    @property
    def is_saturated(self) -> bool:
        """Whether there is more to do."""
        return self.busy >= SATURATED * self.replicas


def measure(metrics: Metrics, window_s: float) -> Load | None:
    """Return the load of the last ``window_s`` that were reported, None before any replica has reported twice.

    Requests that were refused count as those that were let in, and only where a processor is the bound: where the
    payment processor is, more replicas would not help.
    """
    busy = arrived = admitted = in_flight = 0.0
    newest = 0.0
    replicas = 0
    for replica, points in metrics.get(CPU_S, {}).items():
        taken = _recent(points, window_s)
        seconds = taken[-1].timestamp - taken[0].timestamp if taken else 0.0
        if seconds <= 0:
            continue
        replicas += 1
        newest = max(newest, taken[-1].timestamp)
        busy += (taken[-1].value - taken[0].value) / seconds
        arrived += _rate(metrics, ARRIVED, replica, window_s)
        admitted += _rate(metrics, ADMITTED, replica, window_s)
        in_flight += _last(metrics.get(IN_FLIGHT, {}).get(replica, ()))
    if not replicas:
        return None
    refused = max(1.0, arrived / admitted) if admitted > 0 else 1.0
    asked = busy * refused if busy >= BUSY * replicas else busy
    return Load(newest, busy, asked, in_flight, replicas)


def _last(points: Sequence[Point]) -> float:
    return points[-1].value if points else 0.0


def _rate(metrics: Metrics, name: str, replica: Hashable, window_s: float) -> float:
    points = _recent(metrics.get(name, {}).get(replica, ()), window_s)
    seconds = points[-1].timestamp - points[0].timestamp if points else 0.0
    return (points[-1].value - points[0].value) / seconds if seconds > 0 else 0.0


def _recent(points: Sequence[Point], window_s: float) -> Sequence[Point]:
    """Return the points of the window, and the last one before it, so that a rate always has two ends."""
    if not points:
        return ()
    since = points[-1].timestamp - window_s
    first = next((index for index, point in enumerate(points) if point.timestamp >= since), 0)
    return points[min(first, max(0, len(points) - 2)) :]
