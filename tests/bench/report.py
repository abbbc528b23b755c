"""The report: tables for a reader, and one JSON object for a machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
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
    console.print(_speed(summary))
    console.print(_cpu(summary))
    if found := figures(windows):
        console.print(_figures(found))
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


def _speed(summary: Sequence[Line]) -> Table:
    table = Table("conns", "subject", title="Speed")
    for column in ("requests/s", "p50 ms", "p99 ms", "WAL bytes each", "commits each"):
        table.add_column(column, justify="right")
    for line in summary:
        table.add_row(
            str(line.connections),
            line.subject,
            f"{line.rate:,.0f}",
            f"{line.p50_ms:.2f}",
            f"{line.p99_ms:.2f}",
            _optional(line.wal_bytes_per_payment, ",.0f"),
            _optional(line.writes_per_payment, ".3f"),
        )
    return table


def _cpu(summary: Sequence[Line]) -> Table:
    """Show CPU time at one number of connections, without groups that stay under a millisecond."""
    numbers = {line.connections for line in summary}
    connections = RATIO_CONNECTIONS if RATIO_CONNECTIONS in numbers else max(numbers)
    shown = [line for line in summary if line.connections == connections]
    groups = dict.fromkeys(group for line in shown for group in line.cpu_s_per_1000)
    table = Table("processes", title=f"CPU seconds per 1,000 requests at {connections} connections")
    for line in shown:
        table.add_column(line.subject, justify="right")
    for group in groups:
        spent = [line.cpu_s_per_1000.get(group, 0.0) for line in shown]
        if max(spent) >= CPU_SHOWN_S:
            table.add_row(group, *(f"{seconds:.3f}" for seconds in spent))
    table.add_section()
    table.add_row("all", *(f"{sum(line.cpu_s_per_1000.values()):.3f}" for line in shown))
    return table


def _figures(found: Sequence[Figure]) -> Table:
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
