"""Run the benchmark: `python -m tests.bench --help`.

Exit codes: 0 measured; 1 a target is missed and `--enforce` was given; 2 the run itself failed, so nothing
was measured.
"""

from __future__ import annotations

import sys

from rich.console import Console

from tests.bench.command import run_command
from tests.bench.driver import choose_generator, prepared
from tests.bench.options import Options, parse_options
from tests.bench.report import as_json, show, show_profile
from tests.bench.summary import figures


def main() -> int:
    """Measure, report, and return the exit code."""
    options = parse_options(sys.argv[1:])
    return run_command(
        lambda out, progress: _run(options, out, progress), as_json=options.json, enforce=options.enforce
    )


def _run(options: Options, out: Console, progress: Console) -> bool:
    generator = choose_generator(options.load)
    with prepared(options, generator, progress.print) as bench:
        windows = bench.rounds(options, progress.print)
        profile = bench.profile(options.profile) if options.profile else None
        progress.print("taking everything down")
    show(out, options, generator.name, windows)
    if profile is not None:
        show_profile(out, *profile)
    if options.json:
        sys.stdout.write(as_json(options, generator.name, windows) + "\n")
    return any(figure.met is False for figure in figures(windows))


if __name__ == "__main__":
    sys.exit(main())
