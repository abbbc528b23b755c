"""`easypay db pool`: see who has the database's connections, and open a maintenance window."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from cluster.cli.cache import call_operations
from cluster.cli.options import DataDirOption, JsonOption, results

_PATH = "/ops/api/database/pool"

app = typer.Typer(help="See and steer the database's connections.", no_args_is_help=True)


@app.command()
def show(as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """Show the budget and the lease of each process."""
    _print(call_operations(directory, _PATH, None), as_json)


@app.command()
def window(
    connections: Annotated[int, typer.Option(min=0, help="What is left to the gateway; 0: hold its work.")],
    seconds: Annotated[int, typer.Option(min=1, max=24 * 3600, help="For how long.")],
    reason: Annotated[str, typer.Option(help="Why; it is shown to who looks.")] = "maintenance",
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Leave the gateway fewer connections for a while, so that the server can be worked on."""
    body = {"connections": connections, "seconds": seconds, "reason": reason}
    _print(call_operations(directory, f"{_PATH}/window", body), as_json)


@app.command()
def resume(as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """End the windows that were opened by hand."""
    _print(call_operations(directory, f"{_PATH}/window/close", {}), as_json)


def _print(state: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(state))
        return
    room = "" if state["server_room"] is None else f", the server has room for {state['server_room']}"
    results().print(
        f"{state['budget']} of {state['configured']} connections may be leased, {state['free']} are free{room}"
    )
    if state["window"] is not None:
        results().print(
            f"[yellow]window[/] until {state['window']['ends_at']}: {state['window']['reason']}", markup=True
        )
    if len(state["clusters"]) > 1:
        shares = ", ".join(
            f"{each['name']} {each['share']}{' (this one)' * each['this']}" for each in state["clusters"]
        )
        results().print(f"{len(state['clusters'])} clusters share the database, and nothing is cached: {shares}")
    table = Table("Process", "Leased", "In use", "Idle", "Waiting", box=None, padding=(0, 2))
    for lease in state["leases"]:
        known = ("" if lease[name] is None else str(lease[name]) for name in ("in_use", "idle", "waiting"))
        table.add_row(lease["process"], str(lease["size"]), *known)
    results().print(table)
