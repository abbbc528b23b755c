"""`easypay db maintain`: what is worth it is vacuumed, analyzed and rebuilt now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from actors.maintenance.journal import OrderedBy
from actors.maintenance.maintainer import Done, Maintainer, Survey
from actors.maintenance.step import Step
from actors.runtime.errors import ActorError
from cluster.cli.options import DataDirOption, JsonOption, data_dir, fail, results, settings_of
from serve_app.maintenance.policy import maintenance_policy
from serve_app.ops.database_maintenance import shown_step

_MIB = 1024 * 1024


def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is worth doing, and do nothing.")] = False,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Vacuum, analyze and rebuild what is worth it now, also while the database is busy; the gateway may run or not.

    The gateway does so by itself, in quiet hours. Statements are slowed down as its own are, and the journal says who
    ordered them.
    """
    maintainer = _maintainer(directory)
    try:
        if dry_run:
            _show_survey(asyncio.run(maintainer.survey()), as_json=as_json)
            return
        done = asyncio.run(maintainer.run(ordered_by=OrderedBy.HAND))
    except ActorError as away:
        fail(f"the database cannot be reached: {away}")
    if done is None:
        fail("somebody maintains this database already")
    _show_done(done, as_json=as_json)
    if any(each.error is not None for each in done):
        raise typer.Exit(1)


def _maintainer(directory: Path | None) -> Maintainer:
    settings = settings_of(data_dir(directory))
    if settings.owner_url is None:
        fail("no database: set DATABASE_URL, or start the gateway with `easypay up`")
    return Maintainer(settings.owner_url.get_secret_value(), maintenance_policy(settings.task_retention_days))


def _show_survey(survey: Survey, *, as_json: bool) -> None:
    rows = [{**shown_step(step), "now": step in survey.admitted} for step in survey.steps]
    if as_json:
        print(json.dumps({"busy": survey.is_busy, "active_sessions": survey.sessions, "steps": rows}))
        return
    state = "busy" if survey.is_busy else "quiet"
    results().print(f"The database is {state}: {survey.sessions:.1f} active sessions on average.")
    if not rows:
        results().print("Nothing is worth doing.")
        return
    results().print(_table(survey.steps, [("by itself now", ["yes" if row["now"] else "later" for row in rows])]))


def _show_done(done: Sequence[Done], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"steps": [_done(each) for each in done]}))
        return
    if not done:
        results().print("Nothing is worth doing.")
        return
    outcomes = [each.error or "done" for each in done]
    seconds = [f"{each.seconds:.1f}" for each in done]
    results().print(_table([each.step for each in done], [("seconds", seconds), ("outcome", outcomes)]))


def _done(done: Done) -> dict[str, Any]:
    return {
        **shown_step(done.step),
        "before": dict(done.step.before),
        "after": dict(done.after),
        "seconds": round(done.seconds, 3),
        "error": done.error,
    }


def _table(steps: Sequence[Step], more: Sequence[tuple[str, Sequence[str]]]) -> Table:
    table = Table("action", "target", "urgency", "MiB", "why", *(name for name, _ in more), box=None, padding=(0, 2))
    for number, step in enumerate(steps):
        table.add_row(
            step.action.value,
            step.target,
            step.urgency.name.lower(),
            str(step.cost_bytes // _MIB),
            step.reason,
            *(values[number] for _, values in more),
        )
    return table
