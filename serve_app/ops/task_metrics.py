"""The task scheduler for Prometheus: the same whichever replica is scraped.

`easypay_task_scheduler_up` is 0 while it does not answer or does not own the queue; the other series are missing then.
Counts begin with its start.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from actors.runtime.histogram import Histogram
from actors.scheduler.status import SchedulerStatus
from actors.scheduler.task import Priority
from serve_app.ops.cache_metrics import BOUNDS_S


def task_families(status: SchedulerStatus | None) -> Iterator[Metric]:
    """Yield the metrics of tasks, None where the scheduler does not answer."""
    known = status is not None and status.epoch is not None
    up = GaugeMetricFamily("easypay_task_scheduler_up", "Whether the scheduler answers and owns the queue.")
    up.add_metric([], known)
    yield up
    if status is None or not known:
        return
    depth = GaugeMetricFamily("easypay_tasks_waiting", "Tasks that are due and wait.", labels=["priority"])
    for priority in Priority:
        depth.add_metric([priority.name.lower()], status.waiting[priority])
    yield depth
    yield GaugeMetricFamily("easypay_tasks_delayed", "Tasks that are due soon.", status.delayed)
    yield GaugeMetricFamily("easypay_tasks_running", "Tasks that run.", status.running)
    connected = GaugeMetricFamily("easypay_task_worker_up", "Whether the worker is connected.", labels=["worker"])
    for worker in status.workers:
        connected.add_metric([worker.name], worker.is_connected)
    yield connected
    yield from _of_names(status)


def _of_names(status: SchedulerStatus) -> Iterator[Metric]:
    ended = CounterMetricFamily("easypay_tasks_runs", "Runs that ended.", labels=["name", "outcome"])
    waits = HistogramMetricFamily(
        "easypay_tasks_wait_seconds", "From when a run was due to its start.", labels=["name"]
    )
    runs = HistogramMetricFamily("easypay_tasks_run_seconds", "How long a run took.", labels=["name"])
    for name, counts in status.names.items():
        for outcome, count in counts.ended.items():
            ended.add_metric([name, outcome], count)
        _add(waits, name, counts.wait_s)
        _add(runs, name, counts.run_s)
    yield from (ended, waits, runs)


def _add(family: HistogramMetricFamily, name: str, histogram: Histogram) -> None:
    if histogram.count:
        buckets = [(str(bound), float(count)) for bound, count in zip(BOUNDS_S, histogram.up_to(BOUNDS_S), strict=True)]
        family.add_metric([name], [*buckets, ("+Inf", histogram.count)], histogram.total)
