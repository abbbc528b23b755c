"""A benchmark as a command: where it prints, how it is interrupted, and its exit codes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from rich.console import Console

from tests.bench.failure import BenchFailed

REPORT_COLUMNS = 120


def run_command(run: Callable[[Console, Console], bool], *, as_json: bool, enforce: bool) -> int:
    """Call `run` with a console for the report and one for progress; it tells whether a target is missed.

    Returns the exit code: 0 measured; 1 a target is missed and `enforce` is set; 2 the run itself failed, so nothing
    was measured; 130 interrupted.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    progress = Console(stderr=True, highlight=False)
    out = Console(stderr=as_json, highlight=False)
    if not out.is_terminal:
        out = Console(stderr=as_json, highlight=False, width=REPORT_COLUMNS)
    try:
        return 1 if run(out, progress) and enforce else 0
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


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End the run as Ctrl-C does, and hear no second one: what is being taken down must come down."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
