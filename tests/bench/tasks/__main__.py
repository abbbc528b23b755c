"""No-op tasks, enqueue to completion, beside procrastinate, taskiq-redis and arq in the same shape, in one run:
`python -m tests.bench.tasks [--seconds 60] [--only NAME]... [--json] [--enforce]`.

Each has two processes that run tasks and one that enqueues, in batches of a hundred where it can, with at most two
thousand outstanding; then, where tasks are in PostgreSQL, again with four transactions that stay open. Before that, a
hundred tasks a second, for how long each waits. Tasks count when they run; how many of them have no end in the table
when the last one has run is told apart. The machine should have nothing else to do.

Exit codes: 0 measured; 1 a target is missed and `--enforce` was given; 2 the run itself failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from tests.bench.command import run_command
from tests.bench.tasks import subjects
from tests.bench.tasks.subjects import Subject, long_readers, unrecorded

RATE_MIN = 2500.0
P50_MAX_S = 0.020
READERS_SHARE_MIN = 0.9
_READERS = 4
_PACE = 100
_SUBJECTS: Mapping[str, Callable[[], AbstractContextManager[Subject]]] = {
    "easypay": subjects.easypay,
    "procrastinate": subjects.procrastinate,
    "taskiq-redis": subjects.taskiq,
    "arq": subjects.arq,
}
_TABLES = {"easypay": "tasks", "procrastinate": "procrastinate_jobs"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one of them came to: tasks a second, alone and beside long readers; the wait at 100/s; and how many
    of the first flood had no end recorded yet when all had run.
    """

    name: str
    rate: float
    rate_with_readers: float | None
    p50_s: float
    p99_s: float
    unrecorded: int | None


def main() -> int:
    """Measure, report, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", action="append", choices=list(_SUBJECTS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--enforce", action="store_true")
    options = parser.parse_args()

    def run(out: Console, progress: Console) -> bool:
        found = []
        for name in options.only or _SUBJECTS:
            progress.print(f"measuring {name}")
            with _SUBJECTS[name]() as subject:
                found.append(_measured(subject, options.seconds))
            progress.print(found[-1])
        out.print(_report(found))
        if options.json:
            print(json.dumps([asdict(each) for each in found]))
        return _misses(found)

    return run_command(run, as_json=options.json, enforce=options.enforce)


def _measured(subject: Subject, seconds: float) -> Figures:
    pace_s = min(10.0, seconds)
    paced = subject.measure("pace", str(pace_s), str(_PACE), seconds=pace_s)
    rate = subject.measure("flood", str(seconds), seconds=seconds)["rate"]
    beside: float | None = None
    left: int | None = None
    if subject.postgres is not None:
        left = unrecorded(subject.postgres, _TABLES[subject.name])
        with long_readers(subject.postgres, _TABLES[subject.name], _READERS):
            beside = subject.measure("flood", str(seconds), seconds=seconds)["rate"]
    return Figures(subject.name, rate, beside, paced["p50_s"], paced["p99_s"], left)


def _misses(found: list[Figures]) -> bool:
    ours = next((each for each in found if each.name == "easypay"), None)
    if ours is None:
        return False
    assert ours.rate_with_readers is not None
    return (
        ours.rate < RATE_MIN
        or ours.p50_s > P50_MAX_S
        or ours.rate_with_readers < READERS_SHARE_MIN * ours.rate
        or any(each.rate >= ours.rate for each in found if each is not ours)
    )


def _report(found: list[Figures]) -> Table:
    table = Table(
        "", "tasks/s", f"with {_READERS} long readers", "p50 to start at 100/s", "p99", "unrecorded", box=None
    )
    for each in found:
        table.add_row(
            each.name,
            f"{each.rate:,.0f}",
            "" if each.rate_with_readers is None else f"{each.rate_with_readers:,.0f}",
            f"{each.p50_s * 1000:.1f} ms",
            f"{each.p99_s * 1000:.1f} ms",
            "" if each.unrecorded is None else str(each.unrecorded),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
