"""Is all well, and if not, where to look."""

from __future__ import annotations

from cluster.dashboards.board import Board
from cluster.dashboards.expressions import mean, quantile, quantiles, rate, ratio, seldom
from cluster.dashboards.panel import COUNT, RATIO, REQUESTS, SECONDS, Kind, Panel, Query, Row, Words

LEVELS: Words = {
    0: ("Critical", "dark-red"),
    1: ("Poor", "orange"),
    2: ("Fair", "yellow"),
    3: ("Good", "green"),
    4: ("Excellent", "dark-green"),
}
REQUESTS_TOTAL, DURATION = "easypay_http_requests_total", "easypay_http_request_duration_seconds"
FAILED = rate(REQUESTS_TOTAL, where='status=~"5.."')

_NOW = Row(
    "Now",
    (
        Panel(
            "Level", Kind.STAT, COUNT, (Query('min(easypay_level{metric="overall"})'),),
            "The worst of what the monitor judges.", 4, LEVELS,
        ),
        Panel("Requests", Kind.STAT, REQUESTS, (Query(rate(REQUESTS_TOTAL)),), columns=4),
        Panel("Payments", Kind.STAT, REQUESTS, (Query(rate("easypay_payments_total")),), columns=4),
        Panel(
            "Failed", Kind.STAT, RATIO, (Query(ratio(FAILED, rate(REQUESTS_TOTAL))),),
            "Requests that were answered 5xx.", 4, alarm_at=0.001,
        ),
        Panel("p99", Kind.STAT, SECONDS, (Query(quantile(0.99, DURATION)),), columns=4, alarm_at=0.5),
        Panel(
            "Alerts", Kind.STAT, COUNT,
            (Query(seldom('count(max by (alert) (easypay_alerts{state="firing"}) > 0)')),),
            "Of the gateway's own monitor, firing.", 4, alarm_at=1,
        ),
    ),
)  # fmt: skip
_TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            "Requests by answer", Kind.STACK, REQUESTS, (Query(rate(REQUESTS_TOTAL, "status"), "{{status}}"),)
        ),
        Panel("How long requests took", Kind.GRAPH, SECONDS, quantiles(DURATION)),
        Panel("Latency", Kind.HEATMAP, SECONDS, (Query(rate(f"{DURATION}_bucket", "le")),)),
    ),
)  # fmt: skip
_WHY = Row(
    "Why",
    (
        Panel(
            "Where requests wait", Kind.STACK, SECONDS,
            (Query(mean("easypay_stage_duration_seconds", "stage"), "{{stage}}"),),
            "The mean of each stage: the tallest is the one to mend.", 12,
        ),
        Panel(
            "Levels", Kind.STATES, COUNT, (Query("min by (metric) (easypay_level)", "{{metric}}"),),
            "What the monitor makes of each figure.", 12, LEVELS,
        ),
        Panel(
            "Nearest to its bound", Kind.GRAPH, RATIO,
            (Query("topk(5, max by (resource) (easypay_utilisation_ratio))", "{{resource}}"),),
            "Bounded resources that are used most.", 12, alarm_at=0.8,
        ),
        Panel(
            "Slowest routes", Kind.GRAPH, SECONDS,
            (Query(f"topk(5, {quantile(0.99, DURATION, 'method', 'route')})", "{{method}} {{route}}"),), "p99.", 12,
        ),
    ),
)  # fmt: skip

BOARD = Board("overview", "Overview", "Is all well, and if not, where to look.", (_NOW, _TRAFFIC, _WHY))
