"""What the monitor says, for display."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from actors.monitor.advice import Advice
from actors.monitor.alerts import AlertView
from actors.monitor.burn import BurnView
from actors.monitor.forecast import ArrivalForecast
from actors.monitor.levels import LevelView, Overall
from actors.monitor.messages import Change
from actors.monitor.processes import ProcessView
from actors.monitor.series import Labels
from actors.monitor.silences import Silence
from actors.monitor.trend import Trend

Figures = Mapping[str, float | None]
"""By name; None where nothing can be said."""


class Second(NamedTuple):
    """One second of the history. ``latency`` are upper bounds of buckets, in the unit of the records, and counts."""

    at: datetime
    figures: Figures
    latency: tuple[tuple[float, int], ...]


class Row(NamedTuple):
    """A row of a table: the values of its labels, and its figures."""

    labels: Labels
    figures: Figures


class Resource(NamedTuple):
    """A bounded resource: which part of it is used, from which on it alerts, and where it is full."""

    resource: str
    utilisation: float
    threshold: float
    full_at: float


class Forecast(NamedTuple):
    """Arrivals in a minute, None before there is enough to go by; and which resource is full first, and in how many
    seconds, None where none is within an hour."""

    arrivals: ArrivalForecast | None
    saturates_in_s: float | None
    resource: str | None


class Overview(NamedTuple):
    """How it goes. ``windows`` are "1s", "10s" and "1m"; the history is of two minutes, the oldest second first."""

    at: datetime
    level: Overall
    levels: tuple[LevelView, ...]
    windows: Mapping[str, Figures]
    history: tuple[Second, ...]
    tables: Mapping[str, tuple[Row, ...]]
    resources: tuple[Resource, ...]
    trends: tuple[Trend, ...]
    forecast: Forecast
    burns: tuple[BurnView, ...]
    advice: tuple[Advice, ...]
    changes: tuple[Change, ...]
    processes: tuple[ProcessView, ...]


class AlertsView(NamedTuple):
    """All alerts, the firing first, and all silences."""

    alerts: tuple[AlertView, ...]
    silences: tuple[Silence, ...]
