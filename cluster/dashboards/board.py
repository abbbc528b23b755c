"""One dashboard of Grafana, from its rows to its JSON."""

from __future__ import annotations

import json
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType

from cluster.dashboards.panel import Panel, Row, build

TAG = "easypay"


class Board(NamedTuple):
    """A dashboard; ``name`` is that of its file and a part of its address."""

    name: str
    title: str
    text: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, from the top to the bottom."""
        return tuple(panel for row in self.rows for panel in row.panels)


def as_json(board: Board) -> str:
    """Return what Grafana imports; the same text for the same board."""
    made = (
        dashboard.Dashboard(f"EasyPay / {board.title}")
        .uid(f"easypay-{board.name}")
        .description(board.text)
        .tags([TAG])
        .timezone("utc")
        .time("now-30m", "now")
        .refresh("10s")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(_to_the_others())
    )
    for row in board.rows:
        made = made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(build(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _to_the_others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("EasyPay").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).keep_time(True).include_vars(True)
