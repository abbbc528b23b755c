"""The query optimizer for Prometheus: the same whichever replica is scraped.

`easypay_optimizer_up` is 0 while it does not answer or is switched off; the other series are missing then. Counts
begin with its start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.optimizer.journal import Action
from actors.optimizer.redundancy import Fault
from actors.optimizer.state import OptimizerState


def optimizer_families(state: OptimizerState | None) -> Iterator[Metric]:
    """Yield the metrics of the optimizer, None where it does not answer."""
    up = GaugeMetricFamily("easypay_optimizer_up", "Whether the query optimizer answers.")
    up.add_metric([], state is not None)
    yield up
    if state is None:
        return
    rounds = CounterMetricFamily("easypay_optimizer_rounds", "Rounds that ended.", labels=["outcome"])
    rounds.add_metric(["complete"], state.rounds)
    rounds.add_metric(["failed"], state.failures)
    yield rounds
    yield GaugeMetricFamily("easypay_optimizer_owner", "Whether it acts on the database.", state.is_owner)
    actions = CounterMetricFamily("easypay_optimizer_actions", "What was done to indexes.", labels=["action"])
    for action in Action:
        actions.add_metric([action.value], state.actions.get(action.value, 0))
    yield actions
    yield CounterMetricFamily("easypay_optimizer_plan_alarms", "Statements that got a worse plan.", state.alarms)
    if state.report is None:
        return
    yield GaugeMetricFamily("easypay_optimizer_proposals", "Indexes worth a trial.", len(state.report.proposals))
    faults = Counter(burden.fault for burden in state.report.burdens)
    burdens = GaugeMetricFamily("easypay_optimizer_burdens", "Indexes that cost writes in vain.", labels=["fault"])
    for fault in Fault:
        burdens.add_metric([fault.value], faults[fault])
    yield burdens
    kinds = Counter(warning.kind for warning in state.report.warnings)
    warnings = GaugeMetricFamily("easypay_optimizer_warnings", "Statements with a warning.", labels=["kind"])
    for kind in ("sequential_scan", "n_plus_one"):
        warnings.add_metric([kind], kinds[kind])
    yield warnings
