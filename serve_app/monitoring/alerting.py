"""The alerts and objectives of the gateway.

Each is there for a fault that somebody has to hear of, and waits for as long as it takes to tell it from noise: what
stops payments fires within ten seconds and ends within half a minute of its cause.
"""

from __future__ import annotations

from actors.monitor.alerts import AlertRule, Severity
from actors.monitor.burn import Slo
from actors.monitor.measures import Merge, Quantile, Ratio, Value, select
from serve_app.monitoring.figures import (
    FAILED,
    HIT_RATIO,
    OWN_FAULTS,
    PUSHED_OUT,
    REQUESTS,
    STATEMENTS,
    duration_ms,
)
from serve_app.monitoring.measures import LostProcesses, Named, Worst
from serve_app.monitoring.names import (
    ACTOR_UP,
    BREAKER_OPEN,
    PAYMENTS,
    PROCESSOR_CALLS,
    REDIS_UP,
    SERVER_UP,
    STATEMENT_OLDEST,
    UTILISATION,
)

RESPONSE_TIME_MS_MAX = 1000.0
ERROR_RATIO_MAX = 0.05
HIT_RATIO_MIN = 0.5
PUSHED_OUT_MAX = 0.2
PROCESSOR_FAILURES_MAX = 0.2
STATEMENT_S_MAX = 1.0
_QUEUE_FULL = 0.95
_AVAILABILITY, _PAYMENTS_CONCLUDED = 0.999, 0.99
_PROCESSOR = "processor:"
_UNKNOWN_S = 600.0
"""What one actor knows of, and the alerts that stand for it, goes on for so long where the actor is away."""

_ENOUGH_REQUESTS = 20
"""In ten seconds: of fewer, one that is slow or fails would be more than a twentieth."""
_QUICK = ("queue", "pool", "tasks")
"""What is full holds requests up at once."""
_SLOW = ("cpu", "memory", "disk", "files", "webhooks", "rate")
"""What may be full for a while and harms nobody. A cache is not here: it is full for good, and that is its purpose."""


def alert_rules(threshold: float, *, has_redis: bool) -> tuple[AlertRule, ...]:
    """Return every alert; `threshold` is the utilisation above which a bounded resource alerts."""
    return (*_of_requests(), *_of_resources(threshold), *_of_parts(), *(_of_redis() if has_redis else ()))


def objectives() -> tuple[Slo, ...]:
    """Return what is promised over thirty days."""
    return (
        Slo("availability", OWN_FAULTS, REQUESTS, _AVAILABILITY),
        Slo("payments", select(PAYMENTS, status="failed"), select(PAYMENTS), _PAYMENTS_CONCLUDED),
    )


def _of_requests() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "ResponseTimeHigh", duration_ms(0.95, at_least=_ENOUGH_REQUESTS), RESPONSE_TIME_MS_MAX,
            "one request in twenty takes longer than {value:.0f} ms; {threshold:.0f} is too much",
            severity=Severity.PAGE, for_s=5.0,
        ),
        AlertRule(
            "ErrorRateHigh", Ratio(FAILED, REQUESTS, at_least=_ENOUGH_REQUESTS), ERROR_RATIO_MAX,
            "{value:.1%} of requests fail; {threshold:.0%} is too much",
            severity=Severity.PAGE, for_s=3.0,
        ),
        AlertRule(
            "CacheHitRateLow", HIT_RATIO, HIT_RATIO_MIN,
            "only {value:.0%} of reads are answered by a cache; at least {threshold:.0%} should be",
            above=False, window_s=60, for_s=60.0,
        ),
        AlertRule(
            "CacheTooSmall", PUSHED_OUT, PUSHED_OUT_MAX,
            "the cache pushes out {value:.0%} as many values as it is read: more than {threshold:.0%} is too much",
            window_s=60, for_s=120.0,
        ),
    )  # fmt: skip


def _of_resources(threshold: float) -> tuple[AlertRule, ...]:
    reason = "{resource} is used to {value:.0%}; more than {threshold:.0%} is too much"
    by = ("resource",)
    return (
        AlertRule(
            "ResourceUtilisationHigh", Value(select(UTILISATION, resource=_QUICK), by=by), threshold, reason, for_s=5.0
        ),
        AlertRule(
            "ResourceUtilisationHigh", Value(select(UTILISATION, resource=_SLOW), by=by), threshold, reason, for_s=120.0
        ),
        AlertRule(
            "QueueFull", Value(select(UTILISATION, resource="queue")), _QUEUE_FULL,
            "the queue before the gateway is full to {value:.0%}: what comes now is refused",
            severity=Severity.PAGE, clear=0.8, for_s=1.0,
        ),
    )  # fmt: skip


def _of_parts() -> tuple[AlertRule, ...]:
    calls = select(PROCESSOR_CALLS)
    failed = select(PROCESSOR_CALLS, outcome=("failed", "silent"))
    failures = Ratio(failed, calls, by=("processor",), at_least=5)
    # Once its breaker is open hardly anything is sent that could fail.
    left_alone = Named(Value(select(BREAKER_OPEN), by=("breaker",)), "processor", _PROCESSOR)
    oldest = Value(select(STATEMENT_OLDEST))
    return (
        AlertRule(
            "BreakerOpen", Value(select(BREAKER_OPEN), by=("breaker",)), 0.5,
            "the circuit breaker of {breaker} is not closed", severity=Severity.PAGE, for_s=0.0,
            unknown_s=_UNKNOWN_S,
        ),
        AlertRule(
            "ProcessorFailing", Worst((failures, left_alone)), PROCESSOR_FAILURES_MAX,
            "{value:.0%} of what {processor} is sent fails", severity=Severity.PAGE, for_s=2.0,
            unknown_s=_UNKNOWN_S,
        ),
        AlertRule(
            "DatabaseSlow", Worst((Quantile(STATEMENTS, 0.95, at_least=10), oldest)), STATEMENT_S_MAX,
            "statements take {value:.2f} s; {threshold:.1f} s is too much", severity=Severity.PAGE, for_s=3.0,
        ),
        AlertRule(
            "ActorAway", Value(select(ACTOR_UP), by=("actor",), merge=Merge.MIN), 0.5,
            "{actor} does not answer, and what it knows of is not judged", severity=Severity.PAGE, above=False,
            for_s=8.0,
        ),
        AlertRule(
            "ReplicaLost", LostProcesses("gateway"), 0.5,
            "{process} is gone without having been stopped; until another takes its place there is one less",
            severity=Severity.PAGE, for_s=0.0, keep_s=5.0,
        ),
        AlertRule(
            "ReplicaLost", Named(Value(select(SERVER_UP), by=("server",), merge=Merge.MIN), "server"), 0.5,
            "the database's server {server} does not answer", severity=Severity.PAGE, above=False, for_s=2.0,
            unknown_s=_UNKNOWN_S,
        ),
    )  # fmt: skip


def _of_redis() -> tuple[AlertRule, ...]:
    return (
        AlertRule(
            "RedisAway", Value(select(REDIS_UP), merge=Merge.MIN), 0.5,
            "Redis does not answer, or a shard of the cache does without it: reads are slower, and changes wait for it",
            above=False, for_s=2.0, unknown_s=_UNKNOWN_S,
        ),
    )  # fmt: skip
