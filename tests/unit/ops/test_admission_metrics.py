"""What Prometheus is told of admission."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from actors.runtime.tallies import Series
from serve_app.admission.admission import REQUESTS, Figures
from serve_app.ops.admission_metrics import admission_families, gate_families
from serve_app.ops.exposition import exposition


def test_counters_are_of_all_processes_and_what_there_is_now_of_the_one_that_answers() -> None:
    """By kind of work and outcome; by resource."""
    accounts = {"a": {Series(REQUESTS, ("creating", "admitted")): 7.0}, "b": {Series("other", ()): 1.0}}
    figures = Figures(
        3,
        {"gateway": 2, "processor_test": 9},
        {"gateway": 32, "processor_test": 50},
        {"gateway": 0.01, "processor_test": 0.2},
    )
    text = exposition([*admission_families(accounts), *gate_families(figures, "replica-1")]).decode()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples == {
        ("easypay_admission_requests_total", "a", "admitted", "creating"): 7.0,
        ("easypay_admission_waiting", "replica-1"): 3.0,
        ("easypay_admission_in_flight", "gateway", "replica-1"): 2.0,
        ("easypay_admission_in_flight", "processor_test", "replica-1"): 9.0,
        ("easypay_admission_mean_hold_seconds", "gateway", "replica-1"): 0.01,
        ("easypay_admission_mean_hold_seconds", "processor_test", "replica-1"): 0.2,
        ("easypay_admission_limit", "gateway", "replica-1"): 32.0,
        ("easypay_admission_limit", "processor_test", "replica-1"): 50.0,
    }
