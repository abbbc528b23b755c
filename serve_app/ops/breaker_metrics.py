"""The circuit breakers for Prometheus: those of the whole cluster, the same whichever replica is scraped.

`easypay_breaker_board_up` is 0 while the board does not answer; the other series are missing then. Openings are counted
from the board's start on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.breaker.messages import BreakerView
from actors.runtime.breaker import State

_LEVELS = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
_GAUGES: tuple[tuple[str, str, Callable[[BreakerView], float]], ...] = (
    ("state", "The state of the breaker: 0 closed, 1 half-open, 2 open.", lambda view: _LEVELS[view.state]),
    ("forced", "Whether an operator holds it in its state.", lambda view: view.forced is not None),
    ("window_calls", "Calls of the last ten seconds, in all processes.", lambda view: view.calls),
    ("window_failures", "Calls of the last ten seconds that failed.", lambda view: view.failures),
    (
        "disagreeing_processes",
        "Processes that are open where the cluster is closed, or the other way round.",
        lambda view: sum((each.state is State.CLOSED) != (view.state is State.CLOSED) for each in view.processes),
    ),
)


def breaker_families(views: Sequence[BreakerView] | None) -> Iterator[Metric]:
    """Yield the metrics of the breakers, None where the board does not answer."""
    up = GaugeMetricFamily("easypay_breaker_board_up", "Whether the board of breakers answers.")
    up.add_metric([], views is not None)
    yield up
    for name, text, value in _GAUGES:
        family = GaugeMetricFamily(f"easypay_breaker_{name}", text, labels=["breaker"])
        for view in views or ():
            family.add_metric([view.name], value(view))
        yield family
    opened = CounterMetricFamily("easypay_breaker_openings", "How often the breaker opened.", labels=["breaker"])
    for view in views or ():
        opened.add_metric([view.name], view.opened)
    yield opened
