"""What a dashboard consists of, and how Grafana is told: queries with their pictures, in rows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import (
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SECONDS, RATIO, BYTES, COUNT = units.Seconds, units.PercentUnit, units.BytesIEC, units.Short
PER_SECOND, REQUESTS = units.OpsPerSecond, units.RequestsPerSecond

WIDTH = 24
"""Columns of Grafana's grid."""
_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT, _STAT_HEIGHT = 8, 4


Words = Mapping[float, tuple[str, str]]
"""What a value is called, and its colour."""

YES_NO: Words = {0: ("no", "red"), 1: ("yes", "green")}


class Kind(Enum):
    """How a query is drawn."""

    GRAPH = "graph"
    STACK = "stack"
    STAT = "stat"
    HEATMAP = "heatmap"
    STATES = "states"
    TABLE = "table"


class Query(NamedTuple):
    """A question to Prometheus; ``legend`` names each of its series, by labels in double braces."""

    expression: str
    legend: str = ""


class Panel(NamedTuple):
    """A picture of queries; ``words`` names values that stand for something, ``text`` says what to make of it."""

    title: str
    kind: Kind
    unit: str
    queries: tuple[Query, ...]
    text: str = ""
    columns: int = 8
    words: Words | None = None
    alarm_at: float | None = None


class Row(NamedTuple):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def build(panel: Panel) -> Any:
    """Return the panel as the library builds it."""
    made = _picture(panel).title(panel.title).description(panel.text).unit(panel.unit).datasource(_SOURCE)
    made = made.height(_STAT_HEIGHT if panel.kind is Kind.STAT else _HEIGHT).span(panel.columns)
    if panel.words:
        made = made.mappings([_mapping(panel.words)])
    made = made.thresholds(_thresholds(panel))
    for index, query in enumerate(panel.queries):
        made = made.with_target(_target(panel.kind, query, chr(ord("A") + index)))
    return made


def _picture(panel: Panel) -> Any:
    match panel.kind:
        case Kind.GRAPH:
            return _lines().fill_opacity(8)
        case Kind.STACK:
            return _lines().fill_opacity(40).stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
        case Kind.STAT:
            last = common_builders.ReduceDataOptions().calcs(["lastNotNull"])
            return stat.Panel().reduce_options(last).graph_mode(common.BigValueGraphMode.AREA)
        case Kind.HEATMAP:
            color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
            return heatmap.Panel().calculate(False).color(color).y_axis(heatmap.YAxisConfig().unit(panel.unit))
        case Kind.STATES:
            return statetimeline.Panel().merge_values(True).show_value(common.VisibilityMode.AUTO)
        case Kind.TABLE:
            return table.Panel().show_header(True)


def _lines() -> timeseries.Panel:
    legend = (
        common_builders.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    # Down to 0: a line that only seems to double worries people for nothing.
    return timeseries.Panel().line_width(1).legend(legend).tooltip(tooltip).axis_soft_min(0)


def _target(kind: Kind, query: Query, name: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(name).datasource(_SOURCE)
    if kind is Kind.TABLE:
        return target.instant().format(PromQueryFormat.TABLE)
    if kind is Kind.HEATMAP:
        return target.range().format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
    return target.range().legend_format(query.legend or "__auto")


def _mapping(words: Words) -> model.ValueMap:
    return model.ValueMap(
        options={
            f"{value:g}": model.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(words.items())
        }
    )


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if panel.alarm_at is not None:
        steps.append(model.Threshold(value=panel.alarm_at, color="red"))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
