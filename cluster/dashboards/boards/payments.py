"""What became of payments, how much money they moved, and what becomes of requests at the gate."""

from __future__ import annotations

from cluster.dashboards.board import Board
from cluster.dashboards.expressions import quantiles, rate, ratio, seldom
from cluster.dashboards.panel import COUNT, PER_SECOND, RATIO, REQUESTS, SECONDS, Kind, Panel, Query, Row

_PAYMENTS = "easypay_payments_total"
_STAGES = "easypay_stage_duration_seconds"
_OF_THE_PROCESSOR = f'{_STAGES}_bucket{{stage="processor"}}'

_OUTCOMES = Row(
    "Outcomes",
    (
        Panel("Payments by status", Kind.STACK, REQUESTS, (Query(rate(_PAYMENTS, "status"), "{{status}}"),)),
        Panel(
            "Declined", Kind.GRAPH, RATIO,
            (Query(ratio(rate(_PAYMENTS, where='status="declined"'), rate(_PAYMENTS)), "declined"),),
            "A part of all payments; a jump is often one issuer, or fraud.",
        ),
        Panel("Payments by currency", Kind.STACK, REQUESTS, (Query(rate(_PAYMENTS, "currency"), "{{currency}}"),)),
        Panel(
            "Money moved", Kind.GRAPH, COUNT,
            (Query(rate("easypay_payments_amount_minor_total", "currency", "status"), "{{currency}} {{status}}"),),
            "Minor units each second. Sums of different currencies mean nothing, so there are none.", 12,
        ),
        Panel(
            "What processors told later", Kind.GRAPH, PER_SECOND,
            (
                Query(
                    seldom("sum by (processor, outcome) (easypay_processor_callbacks_total)"),
                    "{{processor}} {{outcome}}",
                ),
                Query(seldom("sum by (outcome) (easypay_authorizations_expired_total)"), "expired {{outcome}}"),
            ),
            "Callbacks that were signed well, and authorizations that grew too old, since the shards' start.", 12,
        ),
    ),
)  # fmt: skip
_WAY = Row(
    "A payment's way",
    (
        Panel(
            "The processor", Kind.GRAPH, SECONDS,
            tuple(
                Query(f"histogram_quantile({q}, sum by (le) (rate({_OF_THE_PROCESSOR}[$__rate_interval])))", name)
                for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ),
            columns=12,
        ),
        Panel("Stages", Kind.GRAPH, SECONDS, quantiles(_STAGES, "stage", name="{{stage}}"), columns=12),
    ),
)  # fmt: skip
_GATE = Row(
    "At the gate",
    (
        Panel(
            "Admission", Kind.STACK, REQUESTS,
            (Query(rate("easypay_admission_requests_total", "work", "outcome"), "{{work}} {{outcome}}"),),
        ),
        Panel(
            "Places", Kind.GRAPH, COUNT,
            (
                Query("max by (resource) (easypay_admission_in_flight)", "{{resource}} taken"),
                Query("max by (resource) (easypay_admission_limit)", "{{resource}} there are"),
                Query("max(easypay_admission_waiting)", "waiting"),
            ),
            "Of the replica that answers the scrape.",
        ),
        Panel(
            "Rate limits", Kind.STACK, REQUESTS,
            (Query(seldom(rate("easypay_rate_limit_requests_total", "limit", "outcome")), "{{limit}} {{outcome}}"),),
            "None where RATE_LIMIT_PER_MINUTE is 0.",
        ),
    ),
)  # fmt: skip

BOARD = Board(
    "payments", "Payments", "What became of payments, and what it took.", (_OUTCOMES, _WAY, _GATE)
)  # fmt: skip
