"""`easypay tasks`: see what waits, runs or is dead in a running gateway, and steer it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import typer
from rich.table import Table

from cluster.cli.cache import call_operations
from cluster.cli.options import DataDirOption, JsonOption, results

_PATH = "/ops/api/tasks"
State = Literal["pending", "succeeded", "dead", "cancelled"]

app = typer.Typer(help="See and steer the tasks that run in the background.", no_args_is_help=True)

TaskId = Annotated[str, typer.Argument(help="The id of a task.")]
NameOption = Annotated[str | None, typer.Option(help="Only tasks of this function.")]
LimitOption = Annotated[int, typer.Option(min=1, max=100, help="How many, the newest first.")]
AfterOption = Annotated[str | None, typer.Option("--after", help="The id of the last task of the page before.")]


@app.command("list")
def list_tasks(
    state: Annotated[State | None, typer.Option(help="Only tasks in this state.")] = None,
    name: NameOption = None,
    limit: LimitOption = 20,
    after: AfterOption = None,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """List tasks, and say how the scheduler does."""
    _page(directory, {"state": state, "name": name, "limit": limit, "starting_after": after}, as_json=as_json)


@app.command()
def dead(
    name: NameOption = None,
    limit: LimitOption = 20,
    after: AfterOption = None,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """List the dead letters with the reason of each."""
    _page(directory, {"state": "dead", "name": name, "limit": limit, "starting_after": after}, as_json=as_json)


@app.command()
def show(task_id: TaskId, as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """Show everything about a task."""
    _one(call_operations(directory, f"{_PATH}/{task_id}", None), as_json=as_json)


@app.command()
def retry(task_id: TaskId, as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """Have a dead task run again as if it were new."""
    _one(call_operations(directory, f"{_PATH}/{task_id}/retry", {}), as_json=as_json)


@app.command()
def cancel(task_id: TaskId, as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """Have a task not run; one that runs is told to end."""
    _one(call_operations(directory, f"{_PATH}/{task_id}/cancel", {}), as_json=as_json)


def _page(directory: Path | None, query: dict[str, Any], *, as_json: bool) -> None:
    given = {key: value for key, value in query.items() if value is not None}
    page = call_operations(directory, f"{_PATH}?{urlencode(given)}", None)
    if as_json:
        print(json.dumps(page))
        return
    results().print(_scheduler(page["scheduler"]))
    results().print(_tasks(page["data"]))
    if page["has_more"]:
        results().print(f"There are more: --after {page['data'][-1]['id']}")


def _one(task: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(task))
        return
    for key, value in task.items():
        results().print(f"{key:12} {json.dumps(value) if isinstance(value, dict | list) else value}", markup=False)


def _scheduler(scheduler: dict[str, Any] | None) -> str:
    if scheduler is None:
        return "The scheduler does not answer."
    if scheduler["epoch"] is None:
        return "The scheduler does not own the queue."
    waiting = ", ".join(f"{count} {priority}" for priority, count in scheduler["waiting"].items() if count) or "none"
    up = sum(worker["connected"] for worker in scheduler["workers"])
    return (
        f"Waiting: {waiting}; due soon: {scheduler['delayed']}; running: {scheduler['running']}; "
        f"workers: {up} of {len(scheduler['workers'])}"
    )


def _tasks(tasks: list[dict[str, Any]]) -> Table:
    table = Table("Task", "Function", "State", "Priority", "Failed", "Lost", "Due", "Why", box=None, padding=(0, 2))
    for task in tasks:
        table.add_row(
            task["id"],
            task["name"],
            task["state"],
            task["priority"],
            str(task["attempts"]),
            str(task["orphaned"]),
            task["run_at"],
            (task["error"] or "")[:80],
        )
    return table
