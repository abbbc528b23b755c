"""What `easypay top` draws from what the monitor says. Pure: values in, pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_COLORS = {"excellent": "green", "good": "green", "fair": "yellow", "poor": "dark_orange", "critical": "red"}
_SPARKS = "▁▂▃▄▅▆▇█"
_HISTORY = 60
_BAR = 20
_ROWS_MAX = 8
_CHANGES = 3


def draw(seen: dict[str, Any]) -> RenderableType:
    """Return a screen: what is wrong stands at the top."""
    overview = seen["overview"]
    level = overview["level"]
    title = f"EasyPay {escape(seen['url'])}   {escape(overview['at'])}"
    color = _COLORS[level["level"]]
    head = Text.from_markup(f"[bold {color}]{level['level'].capitalize()}[/]  {escape(level['reason'])}")
    parts: list[RenderableType] = [head, _alerts(seen["alerts"]["alerts"]), _windows(overview)]
    columns = Table.grid(padding=(0, 4))
    columns.add_row(
        Group("[bold]Where requests wait[/]", _waits(overview["waits"])),
        Group("[bold]Resources[/]", _resources(overview["resources"])),
        Group("[bold]Payments[/]", _payments(overview["payments"])),
    )
    parts += [columns, _ahead(overview)]
    return Panel(Group(*parts), title=title, title_align="left", border_style=color)


def away(reason: str, last: dict[str, Any] | None) -> RenderableType:
    """Return a screen that says why there is nothing new, above what was seen last."""
    notice = Panel(Text(reason), title="waiting for the gateway", title_align="left", border_style="red")
    return notice if last is None else Group(notice, draw(last))


def spark(values: Sequence[float | None], width: int = _HISTORY) -> str:
    """Return the newest values as one character each, the highest as a full block; 0 is the lowest there can be.

    None, where nothing can be said, is drawn as 0.
    """
    newest = [value or 0.0 for value in values[-width:]]
    highest = max(newest, default=0.0)
    if highest <= 0:
        return _SPARKS[0] * len(newest)
    return "".join(_SPARKS[min(len(_SPARKS) - 1, int(value / highest * len(_SPARKS)))] for value in newest)


def bar(part: float, threshold: float) -> str:
    """Return a bar of a part of 1, red from the threshold on."""
    filled = round(min(1.0, max(0.0, part)) * _BAR)
    color = "red" if part >= threshold else "green"
    return f"[{color}]{'█' * filled}[/][dim]{'·' * (_BAR - filled)}[/]"


def _alerts(alerts: Sequence[dict[str, Any]]) -> RenderableType:
    ringing = [alert for alert in alerts if alert["state"] in ("firing", "pending")]
    if not ringing:
        return Text("No alert.", style="dim")
    table = Table.grid(padding=(0, 2))
    # Those that wake somebody first, and of these what rings before what may ring.
    for alert in sorted(ringing, key=lambda each: (each["severity"] != "page", each["state"] != "firing"))[:_ROWS_MAX]:
        color = "red" if alert["state"] == "firing" else "yellow"
        silenced = f"silenced until {alert['silenced_until']}" if alert.get("silenced_until") else ""
        labels = ", ".join(f"{name}={value}" for name, value in alert["labels"].items())
        table.add_row(
            f"[{color}]{alert['state']}[/]",
            f"[bold]{escape(alert['name'])}[/] {escape(labels)}",
            escape(alert["reason"]),
            silenced,
        )
    return table


def _windows(overview: dict[str, Any]) -> Table:
    history = overview["history"]
    table = Table("", "Requests/s", "Payments/s", "Errors", "p50 ms", "p95 ms", "p99 ms", box=None, padding=(0, 2))
    for name, window in overview["windows"].items():
        table.add_row(
            name,
            _figure(window["requests_per_s"]),
            _figure(window["payments_per_s"]),
            _errors(window["error_ratio"]),
            *(_figure(window[f"p{q}_ms"]) for q in (50, 95, 99)),
        )
    table.add_row(
        "[dim]1 min[/]",
        spark([each["requests_per_s"] for each in history], 16),
        spark([each["payments_per_s"] for each in history], 16),
        spark([each["error_ratio"] for each in history], 16),
        spark([each["p50_ms"] for each in history], 16),
        "",
        spark([each["p99_ms"] for each in history], 16),
    )
    return table


def _errors(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"[red]{ratio:.2%}[/]" if ratio > 0.001 else f"{ratio:.2%}"


def _figure(value: float | None) -> str:
    """A figure, which the monitor does not have where nothing was measured: no request has no latency."""
    return "" if value is None else f"{value:,.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _waits(waits: Sequence[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for wait in sorted(waits, key=lambda each: -(each["share"] or 0.0))[:_ROWS_MAX]:
        quantiles = f"{_figure(wait['p50_ms'])} / {_figure(wait['p99_ms'])} ms"
        table.add_row(escape(wait["stage"]), _share(wait["share"]), quantiles)
    return table


def _resources(resources: Sequence[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for resource in sorted(resources, key=lambda each: -each["utilisation"])[:_ROWS_MAX]:
        used = resource["utilisation"]
        table.add_row(escape(resource["resource"]), bar(used, resource["threshold"]), f"{used:.0%}")
    return table


def _payments(payments: Sequence[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for each in sorted(payments, key=lambda each: -(each["per_s"] or 0.0))[:_ROWS_MAX]:
        table.add_row(escape(each["status"]), escape(each["currency"]), f"{_figure(each['per_s'])}/s")
    return table


def _ahead(overview: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    if overview["forecast"]["interval"] is not None:
        table.add_row("[bold]Forecast[/]", _forecast(overview["forecast"]))
    for each in overview["recommendations"][:3]:
        table.add_row("[bold]Advice[/]", escape(f"{each['change']}: {each['why']} ({each['expected_gain']})"))
    # The newest come first.
    for each in overview["changes"][:_CHANGES]:
        table.add_row("[bold]Changed[/]", escape(f"{each['at']}  {each['kind']}: {each['what']}"))
    return table


def _forecast(forecast: dict[str, Any]) -> str:
    low, high = forecast["interval"]
    text = f"{forecast['arrival_per_s_in_60s']:,.1f} requests/s in a minute ({low:,.1f} to {high:,.1f})"
    if forecast["saturates_in_s"] is None:
        return text
    return f"{text}; {escape(forecast['resource'] or 'a resource')} is full in {forecast['saturates_in_s']:.0f} s"
