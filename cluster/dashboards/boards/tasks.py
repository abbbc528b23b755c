"""What runs in the background: tasks, their waits, their ends, and who runs them."""

from __future__ import annotations

from cluster.dashboards.board import Board
from cluster.dashboards.expressions import quantile, rate, seldom
from cluster.dashboards.panel import COUNT, PER_SECOND, SECONDS, YES_NO, Kind, Panel, Query, Row

_QUEUE = Row(
    "Queue",
    (
        Panel("Waiting", Kind.STACK, COUNT, (Query("sum by (priority) (easypay_tasks_waiting)", "{{priority}}"),)),
        Panel(
            "Running and due soon", Kind.GRAPH, COUNT,
            (Query("easypay_tasks_running", "running"), Query("easypay_tasks_delayed", "due soon")),
        ),
        Panel(
            "Workers are connected", Kind.STATES, COUNT, (Query("easypay_task_worker_up", "{{worker}}"),),
            words=YES_NO
        ),
    ),
)  # fmt: skip
_RUNS = Row(
    "Runs",
    (
        Panel(
            "Ends", Kind.STACK, PER_SECOND,
            (Query(rate("easypay_tasks_runs_total", "name", "outcome"), "{{name}} {{outcome}}"),),
        ),
        Panel(
            "Waits (p99)", Kind.GRAPH, SECONDS,
            (Query(quantile(0.99, "easypay_tasks_wait_seconds", "name"), "{{name}}"),), "From due to start.",
        ),
        Panel(
            "Runs (p99)", Kind.GRAPH, SECONDS,
            (Query(quantile(0.99, "easypay_tasks_run_seconds", "name"), "{{name}}"),),
        ),
    ),
)  # fmt: skip
_UPKEEP = Row(
    "Housekeeping",
    (
        Panel(
            "The ledger is checked", Kind.GRAPH, COUNT,
            (Query(seldom("sum(easypay_ledger_payments_checked_total)"), "payments compared with postings"),),
            "Since the shards' start.", 12,
        ),
        Panel(
            "Keys that are forgotten", Kind.GRAPH, COUNT,
            (Query(seldom("sum(easypay_idempotency_keys_deleted_total)"), "idempotency keys"),),
            "Since the shards' start.", 12,
        ),
    ),
)  # fmt: skip

BOARD = Board("tasks", "Tasks", "What runs in the background.", (_QUEUE, _RUNS, _UPKEEP))
