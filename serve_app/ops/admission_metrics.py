"""Admission for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from serve_app.admission.admission import REQUESTS, Figures
from serve_app.ops.tally_metrics import Accounts, Counter, counter_families

_COUNTERS = (
    Counter(
        REQUESTS,
        "Requests by kind of work and what became of them at the gate; one that waited is counted again by its end.",
        ("work", "outcome"),
    ),
)


def admission_families(accounts: Accounts) -> Iterator[Metric]:
    """Yield what became of requests at the gates of all processes."""
    yield from counter_families(_COUNTERS, accounts)


def gate_families(figures: Figures, process: str) -> Iterator[Metric]:
    """Yield what there is at the gate of this process."""
    waiting = GaugeMetricFamily(
        "easypay_admission_waiting",
        "Requests that wait for their turn in the process that answers.",
        labels=["process"],
    )
    waiting.add_metric([process], figures.waiting)
    yield waiting
    for name, text, values in (
        ("in_flight", "Places that are taken in the process that answers.", figures.in_flight),
        ("limit", "Places that there are in the process that answers.", figures.limits),
        ("mean_hold_seconds", "How long a place is held of late in the process that answers.", figures.mean_hold_s),
    ):
        family = GaugeMetricFamily(f"easypay_admission_{name}", text, labels=["resource", "process"])
        for resource, value in values.items():
            family.add_metric([resource, process], value)
        yield family
