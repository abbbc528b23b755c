"""How the gateway is doing, for operators: one document of all that the monitor says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from actors.monitor.burn import BurnView
from actors.monitor.client import MonitorClient
from actors.monitor.messages import Change
from actors.monitor.views import Forecast, Overview, Row, Second
from actors.runtime.errors import ActorError
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.monitoring.figures import PAYMENT_RATES, WAITS
from serve_app.problems import Code, Problem

LevelName = Literal["excellent", "good", "fair", "poor", "critical"]
_CHANGES_SHOWN = 100


class OverallLevel(BaseModel):
    """How well it goes, and the worst that this comes from."""

    level: LevelName
    reason: str


class FigureLevel(BaseModel):
    """How well one figure is."""

    metric: str
    value: Annotated[float | None, Field(description="Null where nothing was measured.")]
    unit: str
    level: LevelName
    reason: str


class WindowFigures(BaseModel):
    """Merchants' requests within a window; null where nothing can be said."""

    requests_per_s: float | None
    payments_per_s: float | None
    errors_per_s: float | None
    error_ratio: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class HistorySecond(BaseModel):
    """One second."""

    at: datetime
    requests_per_s: float | None
    payments_per_s: float | None
    error_ratio: float | None
    p50_ms: float | None
    p99_ms: float | None
    latency: Annotated[
        list[tuple[float, int]], Field(description="Requests by the longest that they took, in milliseconds.")
    ]


class StageWait(BaseModel):
    """How long requests are in a stage."""

    stage: Annotated[
        str,
        Field(description="`admission`, `begin`, `processor` and `conclude` follow each other; `pool` is within them."),
    ]
    p50_ms: float | None
    p99_ms: float | None
    share: Annotated[float | None, Field(description="Of the time of all merchants' requests.")]


class BoundedResource(BaseModel):
    """How much of a resource is used."""

    resource: str
    utilisation: float
    threshold: Annotated[float, Field(description="From there on it alerts.")]
    limit: Annotated[float, Field(description="There it is full.")]


class PaymentRate(BaseModel):
    """Payments that came into a state, a second."""

    status: str
    currency: str
    per_s: float | None
    amount_minor_per_s: float | None


class BudgetBurn(BaseModel):
    """How fast the error budget of an objective is used up; 1 uses it up in its thirty days."""

    objective: str
    window_s: float
    burn: Annotated[float, Field(description="Over this window.")]
    short_window_s: float
    short_burn: Annotated[float, Field(description="Over the short window.")]
    threshold: Annotated[float, Field(description="Where both are past it, it alerts.")]


class FigureTrend(BaseModel):
    """Which way a figure went in the last five minutes."""

    metric: str
    direction: Literal["rising", "falling", "steady"]
    slope_per_minute: float
    confidence: Annotated[float, Field(description="That the slope is not zero.")]


class LoadForecast(BaseModel):
    """What is to come if it goes on like this; null before there is enough to go by."""

    arrival_per_s_in_60s: float | None
    interval: Annotated[tuple[float, float] | None, Field(description="With a probability of nine in ten.")]
    saturates_in_s: Annotated[float | None, Field(description="Null: nothing is full within an hour.")]
    resource: Annotated[str | None, Field(description="What is full first.")]


class Recommendation(BaseModel):
    """What should be changed."""

    change: str
    why: str
    expected_gain: str
    setting: str | None


class WhatChanged(BaseModel):
    """Something that changed, and may be the cause of what changed after it."""

    at: datetime
    kind: Annotated[str, Field(description="`deploy`, `scale`, `breaker`, `index` or `configuration`.")]
    what: str


class ReportingProcess(BaseModel):
    """A process that the monitor hears."""

    process: str
    node: str
    heard_s_ago: float


class GatewayOverview(BaseModel):
    """How the gateway is doing."""

    at: datetime
    level: OverallLevel
    levels: list[FigureLevel]
    windows: Annotated[dict[str, WindowFigures], Field(description="The last second, ten seconds and minute.")]
    history: Annotated[list[HistorySecond], Field(description="The last two minutes, the oldest second first.")]
    waits: list[StageWait]
    resources: list[BoundedResource]
    payments: list[PaymentRate]
    budgets: Annotated[list[BudgetBurn], Field(description="One for each alert of each objective.")]
    trends: list[FigureTrend]
    forecast: LoadForecast
    recommendations: list[Recommendation]
    changes: Annotated[list[WhatChanged], Field(description="The newest first.")]
    processes: list[ReportingProcess]


class OverviewEndpoints:
    """Shows the overview."""

    def __init__(self, monitor: MonitorClient) -> None:
        self._monitor = monitor

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/ops/api/overview", self.show, "See how the gateway is doing", "Operations", Scope.ADMIN.value,
                answers={200: GatewayOverview}, problems=("overloaded",),
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show it."""
        try:
            overview = await self._monitor.overview()
        except ActorError as away:
            raise monitor_problem(away) from None
        return json_response(200, overview_document(overview))


def monitor_problem(away: ActorError) -> Problem:
    """Return what is said where the monitor does not answer; payments do not notice."""
    detail = f"The monitor does not answer now, or monitoring is switched off: {away}."
    return Problem(Code.OVERLOADED, detail, retry_after_s=1)


def overview_document(overview: Overview) -> dict[str, Any]:
    """Return the overview as JSON values."""
    tables = overview.tables
    return {
        "at": overview.at,
        "level": {"level": overview.level.level.word, "reason": overview.level.reason},
        "levels": [{**each._asdict(), "level": each.level.word} for each in overview.levels],
        "windows": {name: dict(figures) for name, figures in overview.windows.items()},
        "history": [_second(each) for each in overview.history],
        "waits": [_wait(row) for row in tables.get(WAITS, ())],
        "resources": [
            {
                "resource": each.resource,
                "utilisation": each.utilisation,
                "threshold": each.threshold,
                "limit": each.full_at,
            }
            for each in overview.resources
        ],
        # What was never seen within the window is of no interest now.
        "payments": [
            {**dict(row.labels), **row.figures}
            for row in tables.get(PAYMENT_RATES, ())
            if any(row.figures.values())
        ],
        "budgets": [_budget(each) for each in overview.burns],
        "trends": [each._asdict() for each in overview.trends],
        "forecast": _forecast(overview.forecast),
        "recommendations": [{**each._asdict(), "setting": each.setting or None} for each in overview.advice],
        "changes": [shown_change(each) for each in reversed(overview.changes[-_CHANGES_SHOWN:])],
        "processes": [{**each._asdict(), "heard_s_ago": round(each.heard_s_ago, 2)} for each in overview.processes],
    }  # fmt: skip


def shown_change(change: Change) -> dict[str, Any]:
    """Return one thing that changed."""
    return {"at": change.at, "kind": change.kind, "what": change.what}


def _second(second: Second) -> dict[str, Any]:
    figures: Mapping[str, float | None] = second.figures
    shown = {name: figures.get(name) for name in HistorySecond.model_fields if name not in ("at", "latency")}
    latency = [(round(upper_s * 1000, 4), count) for upper_s, count in second.latency]
    return {"at": second.at, **shown, "latency": latency}


def _wait(row: Row) -> dict[str, Any]:
    figures = row.figures
    return {**dict(row.labels), **{name: figures.get(name) for name in ("p50_ms", "p99_ms", "share")}}


def _budget(view: BurnView) -> dict[str, Any]:
    return {
        "objective": view.slo,
        "window_s": view.burn.long_s,
        "burn": view.long,
        "short_window_s": view.burn.short_s,
        "short_burn": view.short,
        "threshold": view.burn.factor,
    }


def _forecast(forecast: Forecast) -> dict[str, Any]:
    arrivals = forecast.arrivals
    return {
        "arrival_per_s_in_60s": arrivals.per_s if arrivals is not None else None,
        "interval": (arrivals.low, arrivals.high) if arrivals is not None else None,
        "saturates_in_s": forecast.saturates_in_s,
        "resource": forecast.resource,
    }
