"""Connections, statements, servers, and what the optimizer and maintenance do."""

from __future__ import annotations

from cluster.dashboards.board import Board
from cluster.dashboards.expressions import quantile, quantiles, rate, seldom
from cluster.dashboards.panel import COUNT, PER_SECOND, RATIO, SECONDS, YES_NO, Kind, Panel, Query, Row

_POOL = "easypay_database_pool"
_CONNECTIONS = Row(
    "Connections",
    (
        Panel(
            "Budget", Kind.GRAPH, COUNT,
            (
                Query(f"{_POOL}_budget", "budget"),
                Query(f"{_POOL}_budget - {_POOL}_free", "leased"),
                Query(f"sum({_POOL}_in_use)", "in use"),
                Query(f"{_POOL}_server_room", "the server's room"),
            ),
        ),
        Panel("In use", Kind.GRAPH, RATIO, (Query(f"{_POOL}_utilisation", "{{process}}"),), alarm_at=0.8),
        Panel(
            "Who waits", Kind.GRAPH, COUNT,
            (Query(f"sum({_POOL}_waiting)", "callers"), Query(f"{_POOL}_processes_waiting", "processes without any")),
        ),
        Panel("Waits for a connection", Kind.GRAPH, SECONDS, quantiles(f"{_POOL}_wait_seconds")),
        Panel(
            "Connections come and go", Kind.GRAPH, PER_SECOND,
            (
                Query(rate(f"{_POOL}_connects_total"), "made"),
                Query(seldom(rate(f"{_POOL}_closes_total", "why")), "{{why}}"),
            ),
        ),
        Panel(
            "Leases", Kind.GRAPH, PER_SECOND, (Query(rate(f"{_POOL}_lease_changes_total", "what"), "{{what}}"),),
            "Vanished: the process died; enforced: its connections were ended at the server.",
        ),
    ),
)  # fmt: skip
_STATEMENTS = Row(
    "Statements",
    (
        Panel(
            "By operation (p99)", Kind.GRAPH, SECONDS,
            (Query(quantile(0.99, "easypay_database_statement_seconds", "operation"), "{{operation}}"),), columns=12,
        ),
        Panel(
            "How many", Kind.STACK, PER_SECOND,
            (Query(rate("easypay_database_statement_seconds_count", "operation"), "{{operation}}"),), columns=12,
        ),
    ),
)  # fmt: skip
_SERVERS = Row(
    "Servers (where there are replicas)",
    (
        Panel(
            "They answer", Kind.STATES, COUNT, (Query("easypay_database_server_up", "{{server}}"),), "", 8, YES_NO
        ),
        Panel("Lag", Kind.GRAPH, SECONDS, (Query("easypay_database_replica_lag_seconds", "{{server}}"),)),
        Panel(
            "Reads that a replica may answer", Kind.STACK, PER_SECOND,
            (Query(rate("easypay_database_reads_total", "server", "why"), "{{server}} {{why}}"),),
        ),
    ),
)  # fmt: skip
_UPKEEP = Row(
    "Upkeep",
    (
        Panel(
            "Optimizer", Kind.GRAPH, COUNT,
            (
                Query("sum by (action) (easypay_optimizer_actions_total)", "{{action}}"),
                Query("easypay_optimizer_plan_alarms_total", "worse plans"),
            ),
            "Since its start.", 12,
        ),
        Panel(
            "Maintenance", Kind.GRAPH, COUNT,
            (
                Query(seldom("sum by (action, outcome) (easypay_maintenance_steps_total)"), "{{action}} {{outcome}}"),
                Query(f"{_POOL}_window_open", "maintenance window"),
            ),
            "Steps since the shards' start.", 12,
        ),
    ),
)  # fmt: skip

_ROWS = (_CONNECTIONS, _STATEMENTS, _SERVERS, _UPKEEP)

BOARD = Board("database", "Database", "Connections, statements, servers.", _ROWS)
