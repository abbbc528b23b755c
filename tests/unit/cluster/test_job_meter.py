"""How a job's progress is shown."""

from __future__ import annotations

import io

from rich.console import Console
from rich.progress import Progress

from cluster.jobs.meter import LOG_EVERY_S, BarMeter, LineMeter


def test_a_log_gets_a_line_now_and_then() -> None:
    """At the begin of a step, and when the last line is old."""
    text, now = io.StringIO(), [0.0]
    meter = LineMeter(Console(file=text, width=80), lambda: now[0])
    meter.begin("read", 3000)
    for _ in range(3):
        now[0] += LOG_EVERY_S / 2
        meter.advance(1000)
    meter.begin("write")
    assert text.getvalue().splitlines() == ["read: 0 of about 3,000", "read: 2,000 of about 3,000", "write: 0"]


def test_a_terminal_gets_a_bar_for_each_step() -> None:
    """A step that is over is full, also where its total was an estimate."""
    progress = Progress(console=Console(file=io.StringIO()))
    meter = BarMeter(progress)
    meter.begin("read", 100)
    meter.advance(40)
    meter.begin("write", 10)
    meter.advance(3)
    assert [(task.completed, task.total) for task in progress.tasks] == [(40, 40), (3, 10)]
