"""The report: tables for a reader, and one JSON object for a machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.gateway import ENVIRONMENT
from tests.bench.options import Options
from tests.bench.profiler import SelfTime
from tests.bench.summary import RATIO_CONNECTIONS, Figure, Line, figures, idle_share, lines
from tests.bench.window import Window

CPU_SHOWN_S = 0.001


def as_json(options: Options, generator: str, windows: Sequence[Window]) -> str:
    """Return everything that was measured."""
    return json.dumps(
        {
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": generator},
            "options": {"seconds": options.seconds, "rounds": options.rounds, "replicas": options.replicas},
            "environment": ENVIRONMENT,
            "summary": [asdict(line) for line in lines(windows)],
            "idle_share": idle_share(windows),
            "figures": [{**asdict(figure), "met": figure.met} for figure in figures(windows)],
            "windows": [window.as_json() for window in windows],
        }
    )


def show(console: Console, options: Options, generator: str, windows: Sequence[Window]) -> None:
    """Print the tables."""
    summary = lines(windows)
    settings = ", ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    console.print(
        f"{generator}; {os.cpu_count()} cores shared by all; {options.replicas} replicas; medians of "
        f"{options.rounds} rounds of {options.seconds:g} s; gateway with {settings}, all else by default"
    )
    console.print(speed_table(summary))
    console.print(cpu_table(summary))
    if found := figures(windows):
        console.print(figures_table(found))
    if (share := idle_share(windows)) is not None:
        console.print(f"{share:.0%} of the CPU time in the peers' windows went to the gateway that idled beside them")


def show_profile(console: Console, rate: float, functions: Sequence[SelfTime], packages: Sequence[SelfTime]) -> None:
    """Print where one replica spends its time."""
    console.print(f"profile of one replica at {rate:,.0f} requests/s (sampling slows it down)")
    for title, times in (("self time by function", functions), ("self time by package", packages)):
        table = Table("share", title, title_justify="left")
        for time in times:
            table.add_row(f"{time.share:6.1%}", time.where)
        console.print(table)


def speed_table(summary: Sequence[Line]) -> Table:
    """Show speed, and what was written where anything was."""
    writes = any(line.wal_bytes_per_payment is not None for line in summary)
    table = Table("conns", "subject", title="Speed")
    for column in ("requests/s", "p50 ms", "p99 ms", *(("WAL bytes each", "commits each") if writes else ())):
        table.add_column(column, justify="right")
    for line in summary:
        cells = [str(line.connections), line.subject]
        cells += [f"{line.rate:,.0f}", f"{line.p50_ms:.2f}", f"{line.p99_ms:.2f}"]
        if writes:
            cells += [_optional(line.wal_bytes_per_payment, ",.0f"), _optional(line.writes_per_payment, ".3f")]
        table.add_row(*cells)
    return table


def cpu_table(summary: Sequence[Line]) -> Table:
    """Show CPU time at one number of connections."""
    numbers = {line.connections for line in summary}
    connections = RATIO_CONNECTIONS if RATIO_CONNECTIONS in numbers else max(numbers)
    shown = [line for line in summary if line.connections == connections]
    spent = [(line.subject, line.cpu_s_per_1000) for line in shown]
    return cpu_by_group(spent, f"CPU seconds per 1,000 requests at {connections} connections")


def cpu_by_group(spent: Sequence[tuple[str, Mapping[str, float]]], title: str) -> Table:
    """Show seconds by group of processes, a column for each name, without groups that stay under a millisecond."""
    table = Table("processes", title=title)
    for name, _ in spent:
        table.add_column(name, justify="right")
    for group in dict.fromkeys(group for _, groups in spent for group in groups):
        seconds = [groups.get(group, 0.0) for _, groups in spent]
        if max(seconds) >= CPU_SHOWN_S:
            table.add_row(group, *(f"{each:.3f}" for each in seconds))
    table.add_section()
    table.add_row("all", *(f"{sum(groups.values()):.3f}" for _, groups in spent))
    return table


def figures_table(found: Sequence[Figure]) -> Table:
    """Show figures beside what they must reach."""
    table = Table("figure", title="Targets")
    for column in ("median", "range", "must", "aim", "met"):
        table.add_column(column, justify="right")
    for figure in found:
        sign = "<" if figure.at_most else "≥"
        met: dict[bool | None, str] = {True: "[green]yes", False: "[red]no", None: "-"}
        table.add_row(
            figure.name,
            f"{figure.value:.2f}",
            f"{figure.low:.2f} - {figure.high:.2f}",
            f"{sign} {figure.bound:g}" if figure.bound is not None else "-",
            _optional(figure.aim, "g"),
            met[figure.met],
        )
    return table


def _optional(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)
