"""What is read of the measures: the figures, tables and levels that operators see.

All figures of requests are of those of merchants: how long an operator's page takes says nothing of payments.
"""

from __future__ import annotations

from actors.monitor.levels import LevelRule
from actors.monitor.measures import Measure, Merge, Quantile, Rate, Ratio, Share, Value, select
from actors.monitor.rules import Figure, Table
from serve_app.monitoring.names import (
    CACHE_LOOKUPS,
    CACHE_PUSHED_OUT,
    HTTP_DURATION,
    HTTP_REQUESTS,
    LOOP_LAG,
    PAYMENTS,
    PAYMENTS_AMOUNT,
    STAGE_DURATION,
    STATEMENT_DURATION,
    UTILISATION,
)

_API = "/v1/*"
REQUESTS = select(HTTP_REQUESTS, route=_API)
FAILED = select(HTTP_REQUESTS, route=_API, status="5*")
OWN_FAULTS = select(HTTP_REQUESTS, route=_API, status=("500", "503", "504"))
"""What the gateway itself is to blame for. A 502 is the processor's, and has an alert of its own."""
DURATIONS = select(HTTP_DURATION, route=_API)
NEW_PAYMENTS = select(HTTP_REQUESTS, route="/v1/payments", method="POST", status=("201", "202", "402", "502"))
STATEMENTS = select(STATEMENT_DURATION)

REQUESTS_PER_S = Rate(REQUESTS)
ERROR_RATIO = Ratio(FAILED, REQUESTS)
HIT_RATIO = Ratio(select(CACHE_LOOKUPS, outcome="hit"), select(CACHE_LOOKUPS), at_least=50)
PUSHED_OUT = Ratio(select(CACHE_PUSHED_OUT), select(CACHE_LOOKUPS), at_least=50)
"""How many values shards push out for want of room, for each read. That a shard is full says nothing: it is there to be
full. What tells is what has to go, and is read again: where most reads hit, hardly anything comes in that pushes."""
UTILISATIONS = Value(select(UTILISATION), by=("resource",))
# A cache is there to be full, and processors are there to be used: both have bounds of their own.
_MUST_HAVE_ROOM = ("queue", "pool", "tasks", "webhooks", "memory", "disk", "files")


def duration_ms(part: float, *, at_least: int = 1) -> Measure:
    """Return the milliseconds that this part of merchants' requests take at most."""
    return Quantile(DURATIONS, part, scale=1000.0, at_least=at_least)


P95_MS = duration_ms(0.95)

FIGURES = (
    Figure("requests_per_s", REQUESTS_PER_S),
    Figure("payments_per_s", Rate(NEW_PAYMENTS)),
    Figure("errors_per_s", Rate(FAILED)),
    Figure("error_ratio", ERROR_RATIO),
    Figure("p50_ms", duration_ms(0.5)),
    Figure("p95_ms", P95_MS),
    Figure("p99_ms", duration_ms(0.99)),
)

_STAGES = select(STAGE_DURATION)
_BY_STAGE = ("stage",)
_BY_PAYMENT = ("status", "currency")

WAITS, PAYMENT_RATES = "waits", "payments"
TABLES = (
    Table(
        WAITS,
        (
            Figure("p50_ms", Quantile(_STAGES, 0.5, scale=1000.0, by=_BY_STAGE)),
            Figure("p99_ms", Quantile(_STAGES, 0.99, scale=1000.0, by=_BY_STAGE)),
            Figure("share", Share(_STAGES, DURATIONS, by=_BY_STAGE)),
        ),
    ),
    Table(
        PAYMENT_RATES,
        (
            Figure("per_s", Rate(select(PAYMENTS), by=_BY_PAYMENT)),
            Figure("amount_minor_per_s", Rate(select(PAYMENTS_AMOUNT), by=_BY_PAYMENT)),
        ),
    ),
)

TRENDS = (
    Figure("requests_per_s", REQUESTS_PER_S),
    Figure("p95_ms", P95_MS),
    Figure("error_ratio", ERROR_RATIO),
    Figure("cache_hit_ratio", HIT_RATIO),
    Figure("memory_ratio", Value(select(UTILISATION, resource="memory"))),
)


def levels(threshold: float) -> tuple[LevelRule, ...]:
    """Return which figures stand for which level; `threshold` is the utilisation that alerts."""
    half_way = (1 + threshold) / 2
    return (
        LevelRule("response_time_p95", duration_ms(0.95, at_least=20), (100.0, 300.0, 500.0, 1000.0), "ms"),
        LevelRule("error_ratio", Ratio(FAILED, REQUESTS, at_least=20), (0.001, 0.01, 0.05, 0.1)),
        LevelRule("cache_hit_ratio", HIT_RATIO, (0.9, 0.8, 0.65, 0.5), higher_is_better=True, window_s=60),
        LevelRule(
            "utilisation",
            Value(select(UTILISATION, resource=_MUST_HAVE_ROOM), by=("resource",)),
            (0.75 * threshold, threshold, half_way, max(half_way, 0.99)),
        ),
        LevelRule("cpu", Value(select(UTILISATION, resource="cpu")), (0.8, 0.95, 0.99, 1.0)),
        LevelRule(
            "database_p95",
            Quantile(STATEMENTS, 0.95, scale=1000.0, at_least=20),
            (20.0, 100.0, 500.0, 1000.0),
            "ms",
        ),
        LevelRule(
            "loop_lag",
            Value(select(LOOP_LAG, process="gateway-*"), merge=Merge.MAX, scale=1000.0),
            (20.0, 50.0, 150.0, 500.0),
            "ms",
        ),
    )
