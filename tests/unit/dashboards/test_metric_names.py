"""Rules and panels name what is there."""

from __future__ import annotations

from tests.support.exposed_metrics import exposed_names, panel_queries, recorded_names, rules, used_names


def test_every_metric_of_a_rule_is_exposed() -> None:
    """A misspelt name would never alert."""
    assert used_names(rule["expr"] for rule in rules()) - exposed_names() == set()


def test_every_metric_of_a_panel_is_exposed() -> None:
    """A misspelt name would show an empty panel for ever."""
    assert used_names(expression for _, expression in panel_queries()) - exposed_names() == set()


def test_every_recorded_name_is_recorded() -> None:
    """In the rules that use it, and in the panels."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [*(rule["expr"] for rule in rules()), *(expression for _, expression in panel_queries())]
    assert recorded_names(expressions) - recorded == set()


def test_the_tests_would_notice_a_mistake() -> None:
    """Names are found in expressions and in the families, histograms by their stem."""
    assert used_names(['rate(easypay_cache_reed_seconds_sum{model="easypay"}[5m])']) == {"easypay_cache_reed_seconds"}
    assert {"easypay_cache_read_seconds", "easypay_tasks_runs_total", "easypay_admission_limit"} <= exposed_names()
    assert "easypay_cache_reed_seconds" not in exposed_names()
    assert recorded_names(["easypay:availability_burn:rate5m > 1"]) == {"easypay:availability_burn:rate5m"}
