"""All that the monitor is to make of what the gateway's processes tell."""

from __future__ import annotations

from actors.monitor.measures import Merge
from actors.monitor.rules import CapacityRule, Rules
from serve_app.monitoring.advice import RULES
from serve_app.monitoring.alerting import alert_rules, objectives
from serve_app.monitoring.figures import DURATIONS, FIGURES, REQUESTS_PER_S, TABLES, TRENDS, UTILISATIONS, levels
from serve_app.monitoring.names import ACTOR_UP, REDIS_UP, SERVER_UP


def gateway_rules(threshold: float, *, has_redis: bool) -> Rules:
    """Return them; `threshold` is PERFORMANCE_ALERT_THRESHOLD, and there is an alert for Redis where there is one."""
    return Rules(
        figures=FIGURES,
        tables=TABLES,
        levels=levels(threshold),
        alerts=alert_rules(threshold, has_redis=has_redis),
        slos=objectives(),
        capacity=CapacityRule(UTILISATIONS, threshold, by_arrivals=("queue", "pool", "cpu", "tasks")),
        advice=RULES,
        arrivals=REQUESTS_PER_S,
        heat=DURATIONS,
        trends=TRENDS,
        merges={ACTOR_UP: Merge.MIN, REDIS_UP: Merge.MIN, SERVER_UP: Merge.MIN},
    )
