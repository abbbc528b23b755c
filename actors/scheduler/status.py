"""What a scheduler says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.runtime.histogram import Histogram


@dataclass(slots=True)
class NameCounts:
    """What became of the runs of one name: how many ended how, how long each waited past the time that it was due, and
    how long it took. In seconds."""

    ended: dict[str, int] = field(default_factory=dict)
    wait_s: Histogram = field(default_factory=Histogram)
    run_s: Histogram = field(default_factory=Histogram)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as its scheduler sees it."""

    name: str
    is_connected: bool
    running: int


@dataclass(frozen=True, slots=True)
class SchedulerStatus:
    """The queue as its owner has it in memory. ``epoch`` is None while this scheduler does not own the queue.

    ``waiting`` is what is due, by priority; ``delayed`` what is due soon; what is due later, or too much to hold, is in
    the table alone. Counts begin with this scheduler.
    """

    epoch: int | None
    waiting: tuple[int, ...]
    delayed: int
    running: int
    workers: tuple[WorkerStatus, ...]
    names: dict[str, NameCounts]
