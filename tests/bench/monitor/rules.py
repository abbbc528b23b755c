"""As many rules as a gateway has, of metrics like its own."""

from __future__ import annotations

from actors.monitor.alerts import AlertRule, Severity
from actors.monitor.burn import Slo
from actors.monitor.instruments import Instruments
from actors.monitor.levels import LevelRule
from actors.monitor.measures import Quantile, Rate, Ratio, Share, Value, select
from actors.monitor.rules import CapacityRule, Figure, Rules, Table

REQUESTS = "easypay_http_requests_total"
LATENCY = "easypay_http_request_duration_seconds"
STAGES = ("admission", "pool", "begin", "processor", "conclude")
RESOURCES = ("queue", "pool", "cache", "cpu", "memory", "rate")
ROUTES = ("/v1/payments", "/v1/payments/{id}", "/v1/refunds")


def gateway_rules() -> Rules:
    """Return figures, levels, alerts, objectives, capacity and trends."""
    all_requests, errors, latency = select(REQUESTS), select(REQUESTS, status="5*"), select(LATENCY)
    stage, used = select("easypay_stage_duration_seconds"), select("easypay_utilisation_ratio")
    figures = (
        Figure("requests_per_s", Rate(all_requests)),
        Figure("errors_per_s", Rate(errors)),
        Figure("error_ratio", Ratio(errors, all_requests)),
        *(Figure(f"p{part}_ms", Quantile(latency, part / 100, 1000)) for part in (50, 95, 99)),
    )
    p99, ratio = Quantile(latency, 0.99, 1000), Ratio(errors, all_requests, at_least=20)
    by_stage = ("stage",)
    waits = (
        Figure("p50_ms", Quantile(stage, 0.5, 1000, by_stage)),
        Figure("p99_ms", Quantile(stage, 0.99, 1000, by_stage)),
        Figure("share", Share(stage, latency, by_stage)),
    )
    return Rules(
        figures=figures,
        tables=(Table("waits", waits), Table("statuses", (Figure("per_s", Rate(all_requests, ("status",))),))),
        levels=(
            LevelRule("p99", p99, (100, 250, 500, 1000), "ms"),
            LevelRule("errors", ratio, (0.001, 0.01, 0.05, 0.2)),
        ),
        alerts=(
            AlertRule("ResponseTimeHigh", p99, 500, "p99 is {value:.0f} ms", Severity.PAGE),
            AlertRule("ErrorRateHigh", ratio, 0.05, "{value:.1%} fail", Severity.PAGE),
            AlertRule("ResourceUtilisationHigh", Value(used, ("resource",)), 0.8, "{resource} is {value:.0%} used"),
        ),
        slos=(Slo("answers", errors, all_requests),),
        capacity=CapacityRule(Value(used, ("resource",))),
        arrivals=Rate(all_requests),
        heat=latency,
        trends=figures,
    )


def work(process: Instruments, latency_s: float) -> None:
    """Let a process measure what it would in a quarter of a second: five requests, of which one fails."""
    for number in range(5):
        status = "500" if number == 4 else "201"
        process.count(REQUESTS, method="POST", route=ROUTES[number % 3], status=status)
        process.record(LATENCY, latency_s * (1 + number), method="POST", route=ROUTES[number % 3])
        for stage in STAGES:
            process.record("easypay_stage_duration_seconds", latency_s / (1 + number), stage=stage)
    for number, resource in enumerate(RESOURCES):
        process.gauge("easypay_utilisation_ratio", latency_s * number, resource=resource)
    process.gauge("easypay_loop_lag_seconds", latency_s, process=process.process)
    process.gauge("easypay_process_resident_memory_bytes", 1e8 * (1 + latency_s), process=process.process)
    process.count("easypay_process_cpu_seconds_total", latency_s, process=process.process)
