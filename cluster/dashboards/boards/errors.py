"""What fails, what is refused, which breaker is open, and which alert rings."""

from __future__ import annotations

from cluster.dashboards.board import Board
from cluster.dashboards.expressions import rate, ratio, seldom
from cluster.dashboards.panel import COUNT, PER_SECOND, RATIO, REQUESTS, Kind, Panel, Query, Row, Words

_REQUESTS = "easypay_http_requests_total"
_BREAKER: Words = {0: ("closed", "green"), 1: ("half-open", "yellow"), 2: ("open", "red")}

_FAILED = rate(_REQUESTS, "route", where='status=~"5.."')
_FIRING: Words = {0: ("", "green"), 1: ("now", "red")}

_ERRORS = Row(
    "Errors",
    (
        Panel(
            "Answers that are no success", Kind.STACK, REQUESTS,
            (Query(seldom(rate(_REQUESTS, "status", where='status!~"[123].."')), "{{status}}"),),
        ),
        Panel(
            "Failed, by route", Kind.GRAPH, RATIO, (Query(ratio(_FAILED, rate(_REQUESTS, "route")), "{{route}}"),),
            "The part of each route's requests that was answered 5xx.", alarm_at=0.001,
        ),
        Panel(
            "Error budget that is burnt", Kind.GRAPH, COUNT,
            (
                Query("easypay:availability_burn:rate5m", "5 min"),
                Query("easypay:availability_burn:rate1h", "1 h"),
                Query("easypay:availability_burn:rate6h", "6 h"),
                Query("easypay:latency_burn:rate1h", "slow, 1 h"),
            ),
            "At 1 the month's budget lasts the month; at 14.4 it is gone in two days.", alarm_at=14.4,
        ),
    ),
)  # fmt: skip
_ALERTS = Row(
    "Alerts",
    (
        Panel(
            "The gateway's own", Kind.STATES, COUNT,
            (Query(seldom("max by (alert, state) (easypay_alerts)"), "{{alert}} {{state}}"),),
            "By its monitor, which judges four times a second.", 12, _FIRING,
        ),
        Panel(
            "Prometheus'", Kind.STATES, COUNT,
            (Query(seldom('max by (alertname) (ALERTS{alertstate="firing"})'), "{{alertname}}"),),
            "By the rules that lie beside this dashboard.", 12, _FIRING,
        ),
    ),
)  # fmt: skip
_DEFENCES = Row(
    "Defences",
    (
        Panel(
            "Breakers", Kind.STATES, COUNT, (Query("max by (breaker) (easypay_breaker_state)", "{{breaker}}"),), "", 8,
            _BREAKER,
        ),
        Panel(
            "Failures behind breakers", Kind.GRAPH, COUNT,
            (Query("max by (breaker) (easypay_breaker_window_failures)", "{{breaker}}"),), "Of ten seconds.",
        ),
        Panel(
            "No connection", Kind.GRAPH, PER_SECOND,
            (Query(seldom(rate("easypay_database_pool_refused_total", "why")), "{{why}}"),),
            "Callers that got no connection, by why.",
        ),
        Panel(
            "The ledger disagrees", Kind.STAT, COUNT,
            (Query(seldom("sum(easypay_ledger_discrepancies_total)")),),
            "Payments that disagree with their postings: none ever should.", 8, alarm_at=1,
        ),
        Panel(
            "Tasks that gave up", Kind.STAT, COUNT,
            (Query(seldom('sum(easypay_tasks_runs_total{outcome="gave_up"})')),),
            "Dead letters, since the scheduler's start: see `easypay tasks dead`.", 8, alarm_at=1,
        ),
        Panel(
            "What answers", Kind.STATES, COUNT,
            (
                Query("max(easypay_breaker_board_up)", "breaker board"),
                Query("max(easypay_database_pool_up)", "pool manager"),
                Query("max(easypay_task_scheduler_up)", "scheduler"),
                Query("max(easypay_optimizer_up)", "optimizer"),
            ),
            "", 8, {0: ("away", "red"), 1: ("there", "green")},
        ),
    ),
)  # fmt: skip

BOARD = Board("errors", "Errors and alerts", "What fails and what rings.", (_ERRORS, _ALERTS, _DEFENCES))
