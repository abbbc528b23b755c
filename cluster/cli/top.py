"""`easypay top`: what a running gateway does at this moment, on the terminal, until Ctrl-C."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live

from cluster.cli.client import request
from cluster.cli.options import DataDirOption, JsonOption, data_dir, fail, results
from cluster.cli.overview_screen import away, draw
from cluster.cli.running import running_state

_LOOK_TIMEOUT_S = 3.0


class Unavailable(Exception):
    """Nothing can be shown just now; the text says why and is fit to show."""


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.2, max=60, help="Seconds between two looks.")] = 1,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Show live how the gateway does: level, throughput, latencies, where requests wait, resources, alerts.

    It goes on while the gateway is away, and shows it again when it is back. With --json each look is one line.
    """
    try:
        if once:
            _show_once(directory, as_json=as_json)
        elif as_json:
            _print_lines(directory, every_s)
        else:
            _live(directory, every_s)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def look(directory: Path | None) -> dict[str, Any]:
    """Return what the monitor says now; raise Unavailable where nobody says anything.

    The gateway's address and key are read anew each time: one that was started again may have others.
    """
    data = data_dir(directory)
    state = running_state(data)
    if state is None or "admin_key" not in state["facts"]:
        raise Unavailable(f"No gateway runs on {data.path}.")
    facts = state["facts"]
    return {
        "url": facts["url"],
        "overview": _ask(facts, "overview"),
        "alerts": _ask(facts, "alerts"),
    }


def _ask(facts: dict[str, Any], path: str) -> Any:
    try:
        answer = request(f"{facts['url']}/ops/api/{path}", key=facts["admin_key"], timeout_s=_LOOK_TIMEOUT_S)
    except OSError as error:
        raise Unavailable(f"The gateway at {facts['url']} does not answer: {error}") from error
    if answer.status != 200:
        # 503 while the monitor is started again; 404 where PERFORMANCE_MONITORING_ENABLED is false.
        raise Unavailable(f"The gateway at {facts['url']} does not say ({answer.status}): is its monitor switched off?")
    return answer.body


def _show_once(directory: Path | None, *, as_json: bool) -> None:
    try:
        seen = look(directory)
    except Unavailable as fault:
        fail(str(fault))
    if as_json:
        print(json.dumps(seen))
    else:
        results().print(draw(seen))


def _print_lines(directory: Path | None, every_s: float) -> None:
    while True:
        try:
            print(json.dumps(look(directory)), flush=True)
        except Unavailable as fault:
            print(json.dumps({"unavailable": str(fault)}), flush=True)
        time.sleep(every_s)


def _live(directory: Path | None, every_s: float) -> None:
    console = results()
    if not console.is_terminal:
        # Nothing to paint over: one screen below the other.
        for shown in _screens(directory, every_s):
            console.print(shown)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for shown in _screens(directory, every_s):
            live.update(shown, refresh=True)


def _screens(directory: Path | None, every_s: float) -> Iterator[RenderableType]:
    """Yield what there is to show, for ever; while there is nothing new, why, and what was seen last."""
    last: dict[str, Any] | None = None
    while True:
        try:
            last = look(directory)
            yield draw(last)
        except Unavailable as fault:
            yield away(str(fault), last)
        time.sleep(every_s)
