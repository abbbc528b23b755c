"""`easypay status`: whether a gateway runs, and how its parts are."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from cluster.cli.client import is_ready, request
from cluster.cli.options import DataDirOption, JsonOption, data_dir, results
from cluster.local_gateway import LABELS
from cluster.state import StateFile

_NOT_RUNNING = 3
_HEALTH_TIMEOUT_S = 3.0


def status(as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """Show whether the gateway runs and takes requests. Exit status: 0 ready, 1 not ready, 3 not running."""
    data = data_dir(directory)
    launcher = data.holder()
    state = StateFile(data.state_file).read() if launcher is not None else None
    summary = _summarize(state, launcher.pid if launcher else None)
    summary["data_dir"] = str(data.path)
    if as_json:
        print(json.dumps(summary))
    else:
        _print(summary)
    raise typer.Exit(_NOT_RUNNING if not summary["running"] else 0 if summary["ready"] else 1)


def _summarize(state: dict[str, Any] | None, pid: int | None) -> dict[str, Any]:
    if pid is None or state is None:
        return {"running": pid is not None, "ready": False, "pid": pid, "children": {}}
    facts = state["facts"]
    # No key and no password: whoever looks at a status may be looking with others.
    shown = {name: facts[name] for name in ("url", "dashboard_url", "ray_address", "ray_token_file")}
    ready = state["ready"] and is_ready(facts["url"])
    children = state["children"]
    return {
        "running": True,
        "ready": ready,
        "pid": pid,
        **shown,
        "children": children,
        **(_health(facts) if ready else {}),
    }


def _health(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the monitor's level, and the alerts that ring or are about to; nothing where it does not say."""
    try:
        overview, alerts = (
            request(f"{facts['url']}/ops/api/{path}", key=facts["admin_key"], timeout_s=_HEALTH_TIMEOUT_S)
            for path in ("overview", "alerts")
        )
    except OSError:
        # A status is asked for most when something is wrong: what is not known must not hide the rest.
        return {}
    if overview.status != 200 or alerts.status != 200:
        return {}
    ringing = [alert for alert in alerts.body["alerts"] if alert["state"] != "resolved"]
    return {
        "level": overview.body["level"],
        "last_minute": overview.body["windows"]["1m"],
        "alerts": [
            {name: alert[name] for name in ("name", "severity", "state", "since", "reason")} for alert in ringing
        ],
    }


def _health_lines(summary: dict[str, Any]) -> list[str]:
    """Say how it does, in a line, and in one more for each alert."""
    level = summary["level"]
    lines = [
        f"Level {level['level']}: {escape(level['reason'])}",
        f"Last minute: {_last_minute(summary['last_minute'])}",
    ]
    for alert in summary["alerts"]:
        color = "red" if alert["state"] == "firing" else "yellow"
        lines.append(f"[{color}]{alert['state']}[/] {alert['name']} ({alert['severity']}): {escape(alert['reason'])}")
    return lines


def _last_minute(window: dict[str, Any]) -> str:
    """Say what there was; of what the monitor can say nothing of, as of the errors of no requests, nothing is said."""
    known = [
        _said(window["requests_per_s"], "{:.1f} requests/s"),
        _said(window["payments_per_s"], "{:.1f} payments/s"),
        _said(window["error_ratio"], "{:.2%} failed"),
        _said(window["p99_ms"], "p99 {:.0f} ms"),
    ]
    return ", ".join(each for each in known if each) or "nothing known yet"


def _said(figure: float | None, text: str) -> str:
    return "" if figure is None else text.format(figure)


def _print(summary: dict[str, Any]) -> None:
    console = results()
    if not summary["running"]:
        console.print(f"No gateway runs on {summary['data_dir']}.")
        return
    word = "[green]ready[/]" if summary["ready"] else "[yellow]not ready[/]"
    console.print(f"Gateway {word}  {summary.get('url', '')}  (launcher {summary['pid']})")
    if "level" in summary:
        for line in _health_lines(summary):
            console.print(line)
    table = Table("Part", "Phase", "Process", "Restarts", box=None, padding=(0, 2))
    for name, child in summary["children"].items():
        # The gateway's own start is a task: once done, Ray keeps what it made.
        phase = "done" if name == "gateway" and child["phase"] == "down" else child["phase"]
        table.add_row(LABELS[name], phase, str(child["pid"] or ""), str(child["restarts"]))
    console.print(table)
