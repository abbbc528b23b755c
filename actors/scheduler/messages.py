"""What a scheduler and its workers say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from actors.scheduler.definition import Kind
from actors.scheduler.effects import RunEnd, RunRef
from actors.scheduler.lifecycle import Outcome


class Order(NamedTuple):
    """A task that a worker is to run. ``attempt`` counts from 1, ``run_at`` is when it was due, ``trace`` the span that
    enqueued it."""

    id: UUID
    name: str
    arguments: str
    attempt: int
    run_at: float
    trace: str | None = None


class Session(NamedTuple):
    """What a worker is told over: by whom, and over which of his connections."""

    epoch: int
    number: int


class Timing(NamedTuple):
    """How long a run waited past the time that it was due, and how long it took."""

    name: str
    outcome: Outcome
    wait_s: float
    run_s: float


class Reports(NamedTuple):
    """What a worker tells. ``sequence`` is the number of the last end here; ``progress`` is JSON by task, ``timings``
    are those of ends that were not told of before."""

    sequence: int
    ends: list[RunEnd]
    progress: dict[UUID, str]
    timings: list[Timing]


class Joined(NamedTuple):
    """A worker's answer to an owner: the life of its process, how many tasks of each kind it runs at once, what it
    runs, and the ends that nobody has acknowledged, with the number of the last."""

    session: Session
    incarnation: str
    rooms: Mapping[Kind, int]
    runs: list[RunRef]
    ends: list[RunEnd]
    sequence: int


class FormerOwner(Exception):
    """A worker heard of a later owner of the queue, or over a later connection; nothing was done."""

    def __init__(self, epoch: int, later: int) -> None:
        super().__init__(epoch, later)
        self.epoch = epoch
        self.later = later

    def __str__(self) -> str:
        return f"the worker obeys the epoch {self.later}, not {self.epoch}"


class FormerSession(Exception):
    """The owner of the queue has joined the worker anew since; nothing was done."""
