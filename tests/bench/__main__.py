"""Run the benchmark: `python -m tests.bench --help`.

Exit codes: 0 measured; 1 a target is missed and `--enforce` was given; 2 the run itself failed, so nothing
was measured.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from rich.console import Console

from tests.bench.driver import choose_generator, prepared
from tests.bench.failure import BenchFailed
from tests.bench.options import Options, parse_options
from tests.bench.report import as_json, show, show_profile
from tests.bench.summary import figures

REPORT_COLUMNS = 120


def main() -> int:
    """Measure, report, and return the exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    options = parse_options(sys.argv[1:])
    progress = Console(stderr=True, highlight=False)
    try:
        return _run(options, progress)
    except BenchFailed as failure:
        progress.print(f"benchmark failed: {failure}", style="red", markup=False)
        return 2
    except Exception:
        # Python's own exit code would be 1, and would pass for a missed target.
        progress.print_exception()
        return 2
    except KeyboardInterrupt:
        progress.print("interrupted; everything that was started is down")
        return 130


def _run(options: Options, progress: Console) -> int:
    generator = choose_generator(options.load)
    out = Console(stderr=options.json, highlight=False)
    if not out.is_terminal:
        out = Console(stderr=options.json, highlight=False, width=REPORT_COLUMNS)
    with prepared(options, generator, progress.print) as bench:
        windows = bench.rounds(options, progress.print)
        profile = bench.profile(options) if options.profile else None
        progress.print("taking everything down")
    show(out, options, generator.name, windows)
    if profile is not None:
        show_profile(out, *profile)
    if options.json:
        sys.stdout.write(as_json(options, generator.name, windows) + "\n")
    missed = any(figure.met is False for figure in figures(windows))
    return 1 if options.enforce and missed else 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End the run as Ctrl-C does, and hear no second one: what is being taken down must come down."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
