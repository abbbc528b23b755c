"""The report: a table of verdicts and one of what was counted for each part, and one JSON object for a machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.gateway import ENVIRONMENT
from tests.bench.overload.answer import Outcome
from tests.bench.overload.options import Options
from tests.bench.overload.tally import Tally
from tests.bench.overload.verdict import PartResult, Verdict


def as_json(options: Options, results: Sequence[PartResult]) -> str:
    """Return everything that was measured."""
    return json.dumps(
        {
            "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
            "options": asdict(options),
            "environment": ENVIRONMENT,
            "parts": [result.as_json() for result in results],
        }
    )


def show(console: Console, options: Options, result: PartResult) -> None:
    """Print one part."""
    console.print(
        f"{result.name}: {result.setting}; {options.replicas} replicas, {os.cpu_count()} cores shared by all, "
        f"seed {options.seed}",
        markup=False,
    )
    console.print(verdict_table(result.name, result.verdicts))
    for name, tally in result.tallies.items():
        console.print(stream_table(f"{result.name}, {name}: how requests ended", tally))
        for stream, counted in tally.streams.items():
            for sample in counted.samples:
                console.print(f"  {stream}: {sample}", markup=False)


def verdict_table(name: str, verdicts: Sequence[Verdict]) -> Table:
    """Show what must hold beside what was seen."""
    table = Table("what", title=f"{name}: must hold")
    for column in ("must", "seen", "held"):
        table.add_column(column, justify="right")
    held: dict[bool | None, str] = {True: "[green]yes", False: "[red]no", None: "-"}
    for verdict in verdicts:
        table.add_row(verdict.name, verdict.must, verdict.seen, held[verdict.met])
    return table


def stream_table(title: str, tally: Tally) -> Table:
    """Show how many requests of each stream ended how, and how quickly."""
    table = Table("stream", "ended", title=title)
    for column in ("requests", "p50 ms", "p99 ms", "longest ms"):
        table.add_column(column, justify="right")
    for name in tally.streams:
        for outcome in Outcome:
            if number := tally.count((outcome,), (name,)):
                quantiles = [tally.latency_ms(part, (outcome,), (name,)) or 0.0 for part in (0.5, 0.99)]
                longest = tally.latency_max_ms((outcome,), (name,))
                table.add_row(name, outcome, f"{number:,}", *(f"{each:,.1f}" for each in (*quantiles, longest)))
    return table
