"""Run the benchmark of overload: `python -m tests.bench.overload --help`. Exit codes as `python -m tests.bench`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial

from rich.console import Console

from tests.bench.command import run_command
from tests.bench.overload.bench import Bench
from tests.bench.overload.options import Options, parse_options
from tests.bench.overload.parts import beside, connections, cpu, flood, slow
from tests.bench.overload.report import as_json, show
from tests.bench.overload.verdict import PartResult

PARTS: Mapping[str, Callable[[Bench], PartResult]] = {
    "slow": slow.run,
    "flood": flood.run,
    "cpu": cpu.run,
    "connections": connections.run,
    "beside": beside.run,
}


def main() -> int:
    """Measure, report, and return the exit code."""
    options = parse_options(sys.argv[1:])
    return run_command(
        lambda out, progress: _run(options, out, progress), as_json=options.json, enforce=options.enforce
    )


def _run(options: Options, out: Console, progress: Console) -> bool:
    results = []
    for name in options.parts:
        result = PARTS[name](Bench(options, partial(progress.print, f"{name}:")))
        # At once: a later part may fail, and this took minutes.
        show(out, options, result)
        results.append(result)
    if options.json:
        sys.stdout.write(as_json(options, results) + "\n")
    return any(verdict.met is False for result in results for verdict in result.verdicts)


if __name__ == "__main__":
    sys.exit(main())
