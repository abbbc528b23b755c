"""The pool manager for Prometheus: the same whichever replica is scraped.

`easypay_database_pool_up` is 0 while it does not answer; the other series are missing then. A process tells its
counters every five seconds; those of processes that are gone are kept until the manager is started anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actors.pool.ledger import total
from actors.pool.messages import PoolState
from actors.pool.usage import Figures
from actors.runtime.histogram import Histogram
from serve_app.ops.cache_metrics import BOUNDS_S

_PREFIX = "easypay_database_pool"


def pool_families(state: PoolState | None) -> Iterator[Metric]:
    """Yield the metrics of the connections, None where the manager does not answer."""
    up = GaugeMetricFamily(f"{_PREFIX}_up", "Whether the pool manager answers.")
    up.add_metric([], state is not None)
    yield up
    if state is None:
        return
    for name, text, value in (
        ("budget", "Connections that may be leased now.", state.budget.total),
        ("free", "Connections that could be leased; below 0: so many are to come back.", state.budget.free),
        ("enforcing", "Connections that are being ended at the server.", state.budget.enforcing),
        ("processes_waiting", "Processes that have no connection and want one.", state.budget.waiting),
        ("leases", "Leases that are out.", len(state.budget.leases)),
        ("clusters", "Clusters that share the database; 0: this one shares with nobody.", len(state.clusters)),
        ("window_open", "Whether a maintenance window is open.", state.window_ends_at is not None),
    ):
        yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, float(value))
    if state.server_max is not None:
        yield GaugeMetricFamily(f"{_PREFIX}_server_room", "Sessions that the server has room for.", state.server_max)
    leases = CounterMetricFamily(f"{_PREFIX}_lease_changes", "Leases by what became of them.", labels=["what"])
    for what, count in (("granted", state.granted), ("vanished", state.vanished), ("enforced", state.enforced)):
        leases.add_metric([what], count)
    yield leases
    yield from _of_processes(state.figures)
    yield from _of_all(total((*state.figures.values(), state.departed)))


def _of_processes(figures: Mapping[str, Figures]) -> Iterator[Metric]:
    """Yield what each process has now."""
    families = {
        name: GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=["process"])
        for name, text in (
            ("size", "Connections that the process has leased."),
            ("in_use", "Connections in use."),
            ("idle", "Connections that are open and idle."),
            ("waiting", "Callers that wait for a connection."),
            ("utilisation", "The part of its connections that is in use."),
        )
    }
    for process, figure in figures.items():
        for name, family in families.items():
            family.add_metric([process], getattr(figure, name))
    yield from families.values()


def _of_all(figures: Figures) -> Iterator[Metric]:
    """Yield what all processes have counted."""
    yield CounterMetricFamily(f"{_PREFIX}_uses", "Uses of a connection.", figures.uses)
    yield CounterMetricFamily(f"{_PREFIX}_connects", "Connections that were made.", figures.connects)
    for name, text, label, counts in (
        ("closes", "Connections that were closed, by why.", "why", figures.closes),
        ("refused", "Callers that got no connection, by why.", "why", figures.refused),
    ):
        family = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=[label])
        for value, count in counts.items():
            family.add_metric([value], count)
        yield family
    waits = HistogramMetricFamily(f"{_PREFIX}_wait_seconds", "How long those waited who had to.", labels=[])
    _add(waits, [], figures.wait)
    statements = HistogramMetricFamily(
        "easypay_database_statement_seconds", "How long a connection was in use, by what for.", labels=["operation"]
    )
    for operation, histogram in figures.statements.items():
        _add(statements, [operation], histogram)
    yield from (waits, statements)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets = [(str(bound), float(count)) for bound, count in zip(BOUNDS_S, histogram.up_to(BOUNDS_S), strict=True)]
    family.add_metric(labels, [*buckets, ("+Inf", histogram.count)], histogram.total)
