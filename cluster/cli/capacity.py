"""`easypay capacity`: how much a running gateway can do, and how far that is from what it does."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Annotated, Any

import typer
from rich.table import Table

from cluster.cli.client import request, tls_context
from cluster.cli.options import DataDirOption, JsonOption, fail, messages, results
from cluster.cli.running import Running, require_own_servers, require_running, require_test_mode
from cluster.trial.capacity import Found, find_knee
from cluster.trial.climb import Climb, Step
from cluster.trial.cpu import CpuMeter
from cluster.trial.key import trial_key

_RATE_MAX_PER_S = 20_000.0


def capacity(
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without, it is only said what would be done.")] = False,
    start: Annotated[float, typer.Option(min=1, help="Payments a second to begin with.")] = 50,
    step_s: Annotated[float, typer.Option("--step-seconds", min=1, max=60, help="How long each rate lasts.")] = 5,
    p99_max_ms: Annotated[float, typer.Option("--p99-ms", min=1, help="The latency that still counts as good.")] = 500,
    rate_max: Annotated[
        float, typer.Option("--max", min=1, max=_RATE_MAX_PER_S, help="Go no higher than so many payments a second.")
    ] = _RATE_MAX_PER_S,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Load the gateway with test payments, more in each step, until it does not hold; say how much it can do.

    The payments stay, under a merchant of their own. Others who use the gateway meanwhile wait longer or are refused.
    Only a gateway with its own PostgreSQL and Redis on this machine is loaded, and none that takes live payments.
    """
    running = require_running(directory)
    require_test_mode(running)
    require_own_servers(running)
    if not yes:
        results().print(
            f"Test payments would be sent to {running.url}, from {start:g} a second up to {rate_max:,.0f} or until it"
            " does not hold. They stay; other merchants wait longer or are refused meanwhile."
        )
        fail("nothing was done; repeat it with --yes", 2)
    climb = Climb(start, p99_max_ms, rate_max_per_s=rate_max)
    current = current_payments_per_s(running)
    try:
        asyncio.run(_climb(running, climb, step_s))
    except OSError as error:
        fail(f"the gateway or its database does not answer: {error}")
    found = Found(tuple(climb.steps), climb.knee, climb.is_bounded, os.cpu_count() or 1, current)
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        show(found, p99_max_ms)
    raise typer.Exit(0 if found.knee else 1)


async def _climb(running: Running, climb: Climb, step_s: float) -> None:
    def tell(step: Step) -> None:
        messages().print(
            f"{step.offered_per_s:8,.0f}/s offered, {step.goodput_per_s:8,.0f}/s paid, p99 {step.p99_ms:7.0f} ms,"
            f" {step.refused} refused, {step.failed} failed"
        )

    meter = CpuMeter(running.data.instance)
    async with trial_key(running.settings) as key:
        await find_knee(running.url, key, tls_context(running.url), meter, climb, step_s=step_s, on_step=tell)


def current_payments_per_s(running: Running) -> float | None:
    """Return how many payments were made a second in the last minute, None where the monitor does not say."""
    try:
        answer = request(f"{running.url}/ops/api/overview", key=running.facts["admin_key"])
    except OSError as error:
        fail(f"the gateway does not answer: {error}")
    window: dict[str, Any] = answer.body["windows"]["1m"] if answer.status == 200 else {}
    return window.get("payments_per_s")


def show(found: Found, p99_max_ms: float) -> None:
    """Print the steps in the order of their rates, and what they come to."""
    console = results()
    console.print(_steps(found, p99_max_ms))
    knee = found.knee
    if knee is None:
        console.print("The gateway did not hold even the first rate; begin lower with --start.")
        return
    word = "" if found.is_bounded else "at least "
    console.print(
        f"\nKnee: [bold]{word}{knee.goodput_per_s:,.0f} payments/s[/] at a p99 of {knee.p99_ms:.0f} ms,"
        f" with {knee.cores:.2f} of {found.machine_cores} processors busy for the gateway"
    )
    if knee.per_core_s is not None:
        console.print(f"[bold]{knee.per_core_s:,.0f} payments/s per processor[/] that is busy, servers included")
    console.print(_headroom(found))
    console.print("[dim]The load came from this machine, and took its part of the processors too.[/]")


def _headroom(found: Found) -> str:
    if found.current_per_s is None:
        return "Headroom: unknown, for the monitor does not say how many payments there are now"
    if found.headroom is None:
        return "Headroom: all of it, for there are no payments now"
    return f"Headroom: {found.headroom:,.1f} times the {found.current_per_s:,.1f} payments/s of the last minute"


def _steps(found: Found, p99_max_ms: float) -> Table:
    table = Table("Offered/s", "Paid/s", "p50 ms", "p99 ms", "Refused", "Failed", "Cores", "", box=None, padding=(0, 2))
    for step in sorted(found.steps, key=lambda each: each.offered_per_s):
        table.add_row(
            f"{step.offered_per_s:,.0f}",
            f"{step.goodput_per_s:,.0f}",
            f"{step.p50_ms:.0f}",
            f"{step.p99_ms:.0f}",
            str(step.refused),
            str(step.failed),
            f"{step.cores:.2f}",
            "[green]holds[/]" if step.holds(p99_max_ms) else "[yellow]too much[/]",
        )
    return table
