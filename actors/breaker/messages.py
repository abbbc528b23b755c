"""What processes and the board tell each other of breakers. Seconds that are left are sent, never times of a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from actors.runtime.breaker import State


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a breaker decided: closed, or open for ``remaining_s`` more, in a pause of ``pause_s`` before its jitter."""

    is_open: bool = False
    pause_s: float = 0.0
    remaining_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Forced:
    """What an operator forced: open or closed, who it was (an API key's id) and when."""

    state: State
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """One breaker as its process has it.

    ``version`` is the standing that it knows, ``is_new`` whether it decided otherwise since. ``calls`` and ``failures``
    are those of its window. One that is not ``shared`` decides for itself alone (each node of a Redis Cluster has its
    own), and is told of nothing but what an operator forced.
    """

    name: str
    state: State
    calls: int
    failures: int
    version: int
    ruling: Ruling
    is_new: bool
    forced: Forced | None = None
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Sync:
    """All breakers of a process, and the life of the board whose versions it knows; empty before the first answer."""

    process: str
    life: str
    reports: tuple[Report, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds in the cluster for one name. ``is_yours``: the ruling that was reported was taken."""

    name: str
    version: int
    ruling: Ruling
    forced: Forced | None
    is_yours: bool


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """What holds for each name that was reported, in the life of the board that says so."""

    life: str
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class ProcessView:
    """The breaker of one process, as it was told last."""

    process: str
    state: State
    calls: int
    failures: int


@dataclass(frozen=True, slots=True)
class BreakerView:
    """One breaker of the cluster, for display. ``since``: when the state began; ``opened`` counts since the board's
    start how often it did. ``calls`` and ``failures`` are those of the windows of all processes together."""

    name: str
    state: State
    forced: Forced | None
    since: datetime
    retry_after_s: float
    opened: int
    processes: tuple[ProcessView, ...]

    @property
    def calls(self) -> int:
        """Calls of the last seconds."""
        return sum(process.calls for process in self.processes)

    @property
    def failures(self) -> int:
        """Those of them that failed."""
        return sum(process.failures for process in self.processes)


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state in the cluster, for the log. ``by`` is the process that found out, or the key that forced."""

    name: str
    before: State
    after: State
    by: str
    forced: bool
