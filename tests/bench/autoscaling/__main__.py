"""Backtest the predictive policy: `python -m tests.bench.autoscaling [--seed 1] [--log FILE] [--start-s 30] [--json]`.

Replicas start in 30 s, a process on a machine that is there, or in 120 s, a machine that the cloud has to start first.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from serve_app.scaling.policy import ScalingPolicy
from tests.bench.autoscaling.comparison import Compared, compare
from tests.bench.autoscaling.gateway import Machine
from tests.bench.autoscaling.traces import Traces, recorded


def main() -> int:
    """Compare, and print a table or JSON."""
    options = _options()
    # Serve tells of each policy that it makes.
    logging.disable(logging.INFO)
    said = Console(stderr=True, highlight=False)
    rows = []
    for start_s, name, arrivals in _cases(options):
        rows.append((start_s, compare(name, arrivals, Machine(start_s=start_s), options.utilisation)))
        said.print(_line(*rows[-1]))
    Console(stderr=options.json, highlight=False).print(_table(rows))
    if options.json:
        found = [{"start_s": start_s, "trace": each.trace, **_figures(each)} for start_s, each in rows]
        sys.stdout.write(json.dumps({"seed": options.seed, "outcomes": found}) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench.autoscaling", description="Backtest the autoscaling.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, action="append", default=[], help="an access log in the common format")
    parser.add_argument("--peak", type=float, default=3000.0, help="what the busiest minute of a log is scaled to, /s")
    parser.add_argument("--start-s", type=float, action="append", help="how long a replica takes to come")
    parser.add_argument("--trace", action="append", help="only these")
    parser.add_argument(
        "--utilisation", type=float, default=None, help=f"what both aim at; default {ScalingPolicy().utilisation}"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, and the table to stderr")
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> Iterator[tuple[float, str, Sequence[float]]]:
    traces = Traces(options.seed).all()
    for log in options.log:
        with log.open(encoding="utf-8", errors="replace") as lines:
            traces[log.name] = recorded(lines, options.peak)
    for start_s in options.start_s or (30.0, 120.0):
        for name, arrivals in traces.items():
            if not options.trace or name in options.trace:
                yield start_s, name, arrivals


def _figures(each: Compared) -> dict[str, float]:
    return {
        "reactive_late_s": each.reactive.late_s,
        "predictive_late_s": each.predictive.late_s,
        "late_ratio": each.late_ratio,
        "cost_ratio": each.cost_ratio,
        "reactive_refused": each.reactive.refused,
        "predictive_refused": each.predictive.refused,
        "reactive_changes": each.reactive.changes,
        "predictive_changes": each.predictive.changes,
    }


def _line(start_s: float, each: Compared) -> str:
    return f"{start_s:g} s, {each.trace}: {_figures(each)}"


def _table(rows: Sequence[tuple[float, Compared]]) -> Table:
    title = "Seconds above the latency target, and what they cost: Serve's default policy and ours"
    columns = ("start", "trace", "default", "ours", "replica-seconds", "refused", "changes")
    table = Table(*columns, title=title)
    for start_s, each in rows:
        table.add_row(
            f"{start_s:g} s",
            each.trace,
            f"{each.reactive.late_s} s",
            f"{each.predictive.late_s} s",
            f"{each.cost_ratio - 1:+.1%}",
            f"{each.reactive.refused:,.0f} / {each.predictive.refused:,.0f}",
            f"{each.reactive.changes} / {each.predictive.changes}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
