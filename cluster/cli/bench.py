"""`easypay bench`: the benchmark of a source checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer

from cluster.cli.options import fail

_CHECKOUT = Path(__file__).resolve().parents[2]


def bench(
    context: typer.Context,
) -> None:
    """Compare a gateway with a raw echo and a hand-written peer. Arguments go to `python -m tests.bench`."""
    if not (_CHECKOUT / "tests" / "bench").is_dir():
        fail("the benchmark is part of the source checkout, not of the installed package")
    command = [sys.executable, "-m", "tests.bench", *context.args]
    raise typer.Exit(subprocess.run(command, cwd=_CHECKOUT, check=False).returncode)
