"""Run the benchmark of reads: `python -m tests.bench.reads --help`. Exit codes as `python -m tests.bench`."""

from __future__ import annotations

import sys

from rich.console import Console

from tests.bench.command import run_command
from tests.bench.driver import choose_generator
from tests.bench.reads.driver import measure
from tests.bench.reads.options import parse_options
from tests.bench.reads.report import as_json, show
from tests.bench.reads.summary import figures


def main() -> int:
    """Measure, report, and return the exit code."""
    options = parse_options(sys.argv[1:])

    def run(out: Console, progress: Console) -> bool:
        generator = choose_generator(options.load)
        results = measure(options, generator, progress.print)
        show(out, options, generator.name, results)
        if options.json:
            sys.stdout.write(as_json(options, generator.name, results) + "\n")
        return any(figure.met is False for figure in figures(results, options.payments))

    return run_command(run, as_json=options.json, enforce=options.enforce)


if __name__ == "__main__":
    sys.exit(main())
