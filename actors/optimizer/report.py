"""What a round found and did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.optimizer.journal import Entry
from actors.optimizer.plans import PlanAlarm
from actors.optimizer.redundancy import Burden
from actors.optimizer.workload import Warning


@dataclass(frozen=True, slots=True)
class Measured:
    """A statement of the workload; what it was measured at is None where it cannot be, and ``why_not`` says why."""

    query_id: int
    text: str
    calls: int
    mean_ms: float
    measured_ms: float | None
    plan: str | None
    why_not: str | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """An index that is worth a trial. Costs are the planner's, where HypoPG told them."""

    table: str
    name: str
    ddl: str
    why: str
    query_ids: tuple[int, ...]
    estimated_bytes: int
    cost_before: float | None = None
    cost_after: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One round. ``actions`` is empty where it only looked."""

    database: str
    statements: Sequence[Measured]
    proposals: Sequence[Proposal]
    burdens: Sequence[Burden]
    warnings: Sequence[Warning]
    alarms: Sequence[PlanAlarm]
    actions: Sequence[Entry]
    ended: str
    """Why it ended: "complete", or the bound that it reached."""
