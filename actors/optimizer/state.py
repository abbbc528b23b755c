"""What the optimizer tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from actors.optimizer.report import Report


class Mode(Enum):
    """What it may do."""

    ADVISE = "advise"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """How things stand. Counts begin with the start of its process."""

    mode: str
    is_owner: bool
    """Whether it acts: it does not while it only advises, or while another one owns the database's indexes."""
    rounds: int = 0
    failures: int = 0
    last_round_at: datetime | None = None
    last_round_s: float | None = None
    fault: str | None = None
    """Why the last round failed."""
    report: Report | None = None
    """Of the last round that ended."""
    actions: Mapping[str, int] = field(default_factory=dict)
    """How often what was done."""
    alarms: int = 0
