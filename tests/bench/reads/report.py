"""The report: tables for a reader, and one JSON object for a machine."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.gateway import ENVIRONMENT
from tests.bench.reads.driver import LITTLE_NEAR, Results
from tests.bench.reads.options import Options
from tests.bench.reads.summary import MixedLine, figures, mixed_lines
from tests.bench.report import cpu_by_group, cpu_table, figures_table, show_profile, speed_table
from tests.bench.summary import lines

MIB = 1024 * 1024


def as_json(options: Options, generator: str, results: Results) -> str:
    """Return everything that was measured."""
    found = figures(results, options.payments)
    return json.dumps(
        {
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": generator},
            "options": asdict(options),
            "environment": ENVIRONMENT,
            "figures": [{**asdict(figure), "met": figure.met} for figure in found],
            "near": [window.as_json() for window in results.near],
            "shard": [
                {"window": each.window.as_json(), "counts": asdict(each.counts) if each.counts else None}
                for each in results.shard
            ],
            "mixed": {
                "summary": [asdict(line) for line in mixed_lines(results, options.payments)],
                "windows": [asdict(window) for window in results.mixed],
            },
        },
        default=str,
    )


def show(console: Console, options: Options, generator: str, results: Results) -> None:
    """Print the tables."""
    settings = ", ".join(f"{name}={value}" for name, value in {**ENVIRONMENT, **LITTLE_NEAR}.items())
    console.print(
        f"{generator}; {os.cpu_count()} cores shared by all; {options.replicas} replicas; medians of "
        f"{options.rounds} rounds of {options.seconds:g} s"
    )
    if results.near:
        console.print(f"near hits: {options.near_payments} payments in turn; gateway with {settings}")
        console.print(speed_table(lines(results.near)))
        console.print(cpu_table(lines(results.near)))
    if results.mixed:
        console.print(
            f"mixed: {options.payments:,} payments by Zipf (exponent 1, seed {options.seed}), "
            f"{options.write_share:.0%} PATCH; {options.mixed_connections} connections; "
            f"{options.warm_up:g} s of reads before"
        )
        summary = mixed_lines(results, options.payments)
        console.print(_mixed(summary))
        spent = [(_name(line), line.cpu_s_per_1000) for line in summary]
        console.print(cpu_by_group(spent, "CPU seconds per 1,000 requests of the mixed load"))
    if found := figures(results, options.payments):
        console.print(figures_table(found))
    if results.profile is not None:
        show_profile(console, *results.profile)


def _mixed(summary: list[MixedLine]) -> Table:
    table = Table("cache", title="Mixed load (best: static hit rate of the shards)")
    for column in (
        "MiB",
        "req/s",
        "hits",
        "memory",
        "best",
        "read ms",
        "p50",
        "p99",
        "inside",
        "write ms",
        "statements",
        "found",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for line in summary:
        size = line.size
        table.add_row(
            _name(line),
            f"{size.shards}x{size.shard_bytes / MIB:.1f}+{size.near_bytes / MIB:.1f}" if size else "-",
            f"{line.rate:,.0f}",
            _percent(line.hit_rate),
            _percent(line.memory_hit_rate),
            _percent(line.best),
            *(f"{each:.2f}" for each in (line.read_mean_ms, line.read_p50_ms, line.read_p99_ms)),
            "-" if line.inside_ms is None else f"{line.inside_ms:.2f}",
            f"{line.write_mean_ms:.2f}",
            f"{line.statements:.3f}",
            f"{line.found:.3f}",
        )
    return table


def _name(line: MixedLine) -> str:
    share = "off" if not line.cached else "as it is" if line.share is None else f"{line.share:.0%}"
    return f"{share}, paced" if line.paced else share


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
