"""`easypay drill`: kill the processes of a running gateway one after the other, and see what holds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any

import asyncpg
import typer
from rich.table import Table

from cluster.cli.options import DataDirOption, JsonOption, fail, messages, results
from cluster.cli.running import require_own_servers, require_running, require_test_mode
from cluster.state import StateFile
from cluster.trial.drill import Drilled, Target, drill
from cluster.trial.faults import FAULTS, Fault
from cluster.trial.verdict import Line

_NAMES = ", ".join(fault.name for fault in FAULTS)


def run(
    faults: Annotated[
        list[str] | None, typer.Argument(help=f"Which of: {_NAMES}. Default: all.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, it is only said what would be done.")] = False,
    rate: Annotated[float, typer.Option(min=1, max=200, help="Test payments a second meanwhile.")] = 10,
    settle_s: Annotated[
        float, typer.Option("--settle-seconds", min=1, max=60, help="How long it has to be quiet after each.")
    ] = 5,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Kill a process of each kind while test payments run, and report what held. Exit status 0 if all did.

    Only a gateway with its own PostgreSQL and Redis on this machine is drilled, and none that takes live payments. What
    is killed carries this gateway's mark; everything comes back by itself.
    """
    chosen = _chosen(faults)
    running = require_running(directory)
    require_test_mode(running)
    require_own_servers(running)
    if not yes:
        results().print(_plan(chosen))
        fail("nothing was done; repeat it with --yes", 2)
    target = Target(running.url, running.settings, running.data.instance, StateFile(running.data.state_file))
    try:
        drilled = asyncio.run(
            drill(target, chosen, rate_per_s=rate, settle_s=settle_s, tell=lambda text: messages().print(text))
        )
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the gateway or its database does not answer: {error}")
    if as_json:
        print(json.dumps(report(drilled)))
    else:
        show(drilled)
    raise typer.Exit(0 if drilled.held else 1)


def _chosen(names: list[str] | None) -> list[Fault]:
    by_name = {fault.name: fault for fault in FAULTS}
    unknown = [name for name in names or () if name not in by_name]
    if unknown:
        fail(f"there is no fault {unknown[0]}; those are {_NAMES}")
    return [by_name[name] for name in names] if names else list(FAULTS)


def _plan(faults: list[Fault]) -> Table:
    table = Table("Killed", "What must hold", box=None, padding=(0, 2))
    for fault in faults:
        table.add_row(fault.name, fault.promise)
    return table


def report(drilled: Drilled) -> dict[str, Any]:
    """Return what `easypay drill --json` prints."""
    return {
        "held": drilled.held,
        "faults": [
            {
                "name": line.fault.name,
                "promise": line.fault.promise,
                "back_after_s": line.back_after_s,
                "served_after_s": line.served_after_s,
                "slowest_s": line.slowest_s,
                "answers": line.answers,
                "errors": {str(status): count for status, count in line.errors.items()},
                "did_not_hold": line.faults,
            }
            for line in drilled.lines
        ],
        "skipped": list(drilled.skipped),
        "money": {**asdict(drilled.money), "did_not_hold": drilled.money.faults},
    }


def show(drilled: Drilled) -> None:
    """Print a line for each fault, and what the books say."""
    console = results()
    table = Table(
        "Killed",
        "Held",
        "Back s",
        "Errors until s",
        "Slowest s",
        "Answers",
        "Errors",
        "Why not",
        box=None,
        padding=(0, 2),
    )
    for line in drilled.lines:
        table.add_row(
            line.fault.name,
            "[green]yes[/]" if not line.faults else "[red]no[/]",
            "" if line.back_after_s is None else f"{line.back_after_s:.1f}",
            f"{line.served_after_s:.1f}" if line.errors else "",
            f"{line.slowest_s:.1f}",
            str(line.answers),
            _errors(line),
            "; ".join(line.faults) or line.fault.promise,
        )
    console.print(table)
    for name in drilled.skipped:
        console.print(f"{name}: this gateway has none")
    money = drilled.money
    word = "[green]Money:[/] nothing lost, nobody charged twice." if not money.faults else "[red]Money:[/] "
    console.print(f"{word}{'; '.join(money.faults)}")
    console.print(f"{money.keys} keys, {money.acknowledged} payments acknowledged, {money.stored} stored.")


def _errors(line: Line) -> str:
    words = {0: "no answer"}
    return ", ".join(f"{count} x {words.get(status, status)}" for status, count in sorted(line.errors.items()))
