"""How far the optimizer may go."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from actors.optimizer.decision import Bounds


class Drops(Enum):
    """Which indexes it may drop. Never one that a constraint stands on, nor a unique one."""

    OWN = "own"
    """Those that it made itself, and invalid leftovers of such."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of one round. Each is a promise to the server and to those who work on it."""

    bounds: Bounds = field(default_factory=Bounds)
    drops: Drops = Drops.OWN
    statements_max: int = 30
    arguments_max: int = 6
    """Sets of arguments for each statement: the rounds of a paired comparison."""
    trials_max: int = 12
    tries_per_statement: int = 4
    time_max_s: float = 900.0
    """No new trial begins after that."""
    space_share: float = 0.25
    """The optimizer's own indexes together take at most this share of what the tables take, and `space_min_bytes`."""
    space_min_bytes: int = 256 * 1024 * 1024
    measure_max_s: float = 60.0
    """The workload's statements are measured for no longer than this before the first trial."""
    statement_timeout_ms: int = 5000
    build_timeout_s: float = 1800.0
    lock_timeout_ms: int = 5000
    """How long a build or a drop waits for others' transactions before it gives up; nobody waits for it."""
    observe_min_s: float = 24 * 3600.0
    """For how long statistics must have run before an index is called unused."""
    watch_s: float = 2.0
    """For how long it looks at what is sent, to learn constants."""
    relevant_share: float = 0.01
    """A statement with less of the workload's time is left alone."""
    retry_days: int = 7
    """An index that was not kept is not tried again for so long."""
