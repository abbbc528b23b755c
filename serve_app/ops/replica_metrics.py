"""The servers of the database for Prometheus: the same whichever replica of the gateway is scraped.

The exception is which replicas are left out, which is in the eyes of the process that answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from actors.pool.replicas.monitor import ServersView
from actors.pool.replicas.reads import READS, ReplicaFigures
from serve_app.ops.tally_metrics import Accounts, Counter, counter_families

_COUNTERS = (
    Counter(
        READS,
        "Reads that a replica may answer, by the server that did, and why that one.",
        ("server", "why"),
    ),
)


def read_families(accounts: Accounts) -> Iterator[Metric]:
    """Yield which server answered the reads of all processes."""
    yield from counter_families(_COUNTERS, accounts)


def excluded_families(figures: Sequence[ReplicaFigures], process: str) -> Iterator[Metric]:
    """Yield which replicas a process reads nothing from."""
    excluded = GaugeMetricFamily(
        "easypay_database_replica_excluded",
        "Whether a process reads nothing from a replica, by the reason.",
        labels=["server", "reason", "process"],
    )
    for figure in figures:
        excluded.add_metric([figure.name, figure.excluded or "", process], figure.excluded is not None)
    yield excluded


def server_families(view: ServersView | None) -> Iterator[Metric]:
    """Yield how the servers stand; nothing is known of them without a view, because the monitor is away."""
    if view is None:
        return
    up = GaugeMetricFamily("easypay_database_server_up", "Whether the server answers.", labels=["server"])
    timeline = GaugeMetricFamily(
        "easypay_database_timeline", "The server's timeline: the highest is the primary's.", labels=["server"]
    )
    lag = GaugeMetricFamily(
        "easypay_database_replica_lag_seconds", "How long what a replica lacks has been written.", labels=["server"]
    )
    for name, seen in view.servers.items():
        up.add_metric([name], seen.standing is not None)
        if seen.standing is not None:
            timeline.add_metric([name], seen.standing.timeline)
        if seen.lag_s is not None:
            lag.add_metric([name], seen.lag_s)
    yield from (up, timeline, lag)
