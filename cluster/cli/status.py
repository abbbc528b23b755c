"""`easypay status`: whether a gateway runs, and how its parts are."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.table import Table

from cluster.cli.client import is_ready
from cluster.cli.options import DataDirOption, JsonOption, data_dir, results
from cluster.local_gateway import LABELS
from cluster.state import StateFile

_NOT_RUNNING = 3


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
    return {"running": True, "ready": ready, "pid": pid, **shown, "children": state["children"]}


def _print(summary: dict[str, Any]) -> None:
    console = results()
    if not summary["running"]:
        console.print(f"No gateway runs on {summary['data_dir']}.")
        return
    word = "[green]ready[/]" if summary["ready"] else "[yellow]not ready[/]"
    console.print(f"Gateway {word}  {summary.get('url', '')}  (launcher {summary['pid']})")
    table = Table("Part", "Phase", "Process", "Restarts", box=None, padding=(0, 2))
    for name, child in summary["children"].items():
        # The gateway's own start is a task: once done, Ray keeps what it made.
        phase = "done" if name == "gateway" and child["phase"] == "down" else child["phase"]
        table.add_row(LABELS[name], phase, str(child["pid"] or ""), str(child["restarts"]))
    console.print(table)
