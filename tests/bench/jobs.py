"""How long each batch job takes, and how much memory: `python -m tests.bench.jobs [--payments 1000000] [--json]`.

It makes the payments in a PostgreSQL of its own, plants nothing, and runs each job as a process, as Ray would.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.support.generated import generate_payments
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.report import moved_lines, write_report
from tests.support.started import started

_LOOK_EVERY_S = 0.2
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One job: seconds from start to end, its own CPU time, and the most memory that it and what it started held."""

    job: str
    wall_s: float
    cpu_s: float
    peak_mib: float
    tree_peak_mib: float
    exit_code: int


def measure(job: str, arguments: Sequence[str], environment: dict[str, str], progress: Console) -> Measured:
    """Run a job to its end and watch its memory (resident, shared pages counted in each process)."""
    began = time.monotonic()
    command = [sys.executable, "-m", f"cluster.jobs.{job}", "--json", *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=errors, stdin=subprocess.DEVNULL
        )
        own, tree, cpu_s = 0, 0, 0.0
        while process.poll() is None:
            sizes = _resident(process.pid)
            own, tree = max(own, sizes[0]), max(tree, sum(sizes))
            cpu_s = max(cpu_s, _cpu_s(process.pid))
            time.sleep(_LOOK_EVERY_S)
        wall_s = time.monotonic() - began
        errors.seek(0)
        if process.returncode:
            progress.print(errors.read(), markup=False)
    return Measured(
        job, round(wall_s, 1), round(cpu_s, 1), round(own / _MIB, 1), round(tree / _MIB, 1), process.returncode
    )


def _cpu_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _resident(pid: int) -> list[int]:
    try:
        process = psutil.Process(pid)
        sizes = [process.memory_info().rss]
    except psutil.NoSuchProcess:
        return [0]
    for child in process.children(recursive=True):
        try:
            sizes.append(child.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
    return sizes


JOBS = ("reconcile", "settle", "verify_ledger", "export")


def run(payments: int, days: float, chosen: Sequence[str], progress: Console) -> list[Measured]:
    """Make the payments and measure the chosen jobs on them, one after the other."""
    with started(TestPostgres()) as server, tempfile.TemporaryDirectory(prefix="easypay-jobs-") as folder:
        asyncio.run(server.create_schema())
        began = time.monotonic()
        asyncio.run(generate_payments(server.url(), payments, days=days))
        progress.print(f"{payments:,} payments made in {time.monotonic() - began:.0f} s")
        report = Path(folder) / "report.csv"
        write_report(report, asyncio.run(moved_lines(server.url())), datetime(2026, 3, 1, tzinfo=UTC))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "DATABASE_URL": server.url(APP_ROLE),
            "API_KEY_PEPPER": "a pepper for the benchmark, no secret",
            "CACHE_SHARDS": "0",
        }
        jobs = {
            "reconcile": ["--report", str(report)],
            "settle": ["--day", "2026-02-15", "--output", f"{folder}/settle"],
            "verify_ledger": [],
            "export": ["--since", "2026-01-01", "--until", "2026-02-15", "--output", f"{folder}/export"],
        }
        results = []
        for job in chosen:
            results.append(measure(job, jobs[job], environment, progress))
            progress.print(str(results[-1]))
        return results


def main() -> int:
    """Measure and print; the exit code tells whether every job did its work and found nothing wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payments", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=10.0)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = run(options.payments, options.days, options.jobs, Console(stderr=True, highlight=False))
    if options.json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        table = Table("Job", "Wall s", "CPU s", "Peak MiB", "With children MiB", "Exit code")
        for result in results:
            table.add_row(*map(str, asdict(result).values()))
        Console(highlight=False).print(table)
    return max(result.exit_code for result in results)


if __name__ == "__main__":
    sys.exit(main())
