"""The progress of a job: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LOG_EVERY_S = 5.0


class BarMeter:
    """Shows each step as a bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, step: str, total: int | None = None) -> None:
        """Begin a step; the one before is done, whatever was thought of its total."""
        if self._task is not None:
            done = next(task.completed for task in self._progress.tasks if task.id == self._task)
            self._progress.update(self._task, total=done)
        self._task = self._progress.add_task(step, total=total)

    def advance(self, items: int) -> None:
        """Move the bar of this step."""
        assert self._task is not None, "a step was begun"
        self._progress.advance(self._task, items)


class LineMeter:
    """Writes a line at the begin of a step, and then every few seconds."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._step, self._of = "", ""
        self._done = 0
        self._told_at = 0.0

    def begin(self, step: str, total: int | None = None) -> None:
        """Begin a step."""
        self._step, self._of = step, "" if total is None else f" of about {total:,}"
        self._done = 0
        self._tell()

    def advance(self, items: int) -> None:
        """Count; write a line if the last one is old."""
        self._done += items
        if self._clock() - self._told_at >= LOG_EVERY_S:
            self._tell()

    def _tell(self) -> None:
        self._told_at = self._clock()
        self._console.print(f"{self._step}: {self._done:,}{self._of}", markup=False)


@contextmanager
def meter() -> Iterator[BarMeter | LineMeter]:
    """Yield the meter that fits standard error."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield LineMeter(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield BarMeter(progress)
