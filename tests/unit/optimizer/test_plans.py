"""What is read out of plans, and when another one is an alarm."""

from __future__ import annotations

from typing import Any

from actors.optimizer.catalog import TableName
from actors.optimizer.plans import PlanBook, TableScan, read_plan

_SCAN: dict[str, Any] = {
    "Node Type": "Seq Scan",
    "Schema": "public",
    "Relation Name": "orders",
    "Plan Rows": 10,
    "Actual Rows": 6,
    "Rows Removed by Filter": 994,
    "Total Cost": 20.0,
}
_LOOKUP: dict[str, Any] = {
    "Node Type": "Index Scan",
    "Index Name": "items_by_order",
    "Relation Name": "items",
    "Plan Rows": 1,
    "Total Cost": 1.0,
}


def _explained(*children: dict[str, Any]) -> dict[str, Any]:
    root = {"Node Type": "Nested Loop", "Join Type": "Inner", "Total Cost": 30.0, "Plan Rows": 5, "Plans": [*children]}
    return {
        "Plan": {**root, "Shared Hit Blocks": 40, "Shared Read Blocks": 2},
        "Execution Time": 3.0,
        "Planning Time": 0.5,
    }


def test_scans_indexes_and_times() -> None:
    """Planning is part of what a caller waits for."""
    plan = read_plan(_explained(_SCAN, _LOOKUP))
    assert plan.scans == (TableScan(TableName("public", "orders"), 1000, 6),)
    assert plan.indexes == {"items_by_order"}
    assert (plan.time_ms, plan.pages, plan.cost) == (3.5, 42, 30.0)
    assert read_plan({"Plan": _SCAN}).time_ms is None


def test_a_plan_is_known_by_its_form_and_not_by_its_figures() -> None:
    """Another index is another form."""
    one = read_plan(_explained(_SCAN, _LOOKUP)).fingerprint
    assert read_plan(_explained({**_SCAN, "Actual Rows": 7}, _LOOKUP)).fingerprint == one
    assert read_plan(_explained(_SCAN, {**_LOOKUP, "Index Name": "other"})).fingerprint != one


def test_an_alarm_is_another_plan_that_is_slower() -> None:
    """Neither alone is one; and each is told once."""
    book = PlanBook()
    assert book.see(1, "a", 10.0) is None
    assert book.see(1, "a", 100.0) is None
    assert book.see(1, "b", 90.0) is None
    alarm = book.see(1, "c", 200.0)
    assert alarm is not None
    assert (alarm.before, alarm.after, alarm.before_ms, alarm.after_ms) == ("b", "c", 90.0, 200.0)
    assert book.see(1, "c", 200.0) is None
