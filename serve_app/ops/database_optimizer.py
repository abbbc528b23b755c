"""The query optimizer, as operators see it: what it found and did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from actors.optimizer.report import Report
from actors.optimizer.state import OptimizerState


class OptimizerStatement(BaseModel):
    """A statement of the workload."""

    query_id: Annotated[str, Field(description="As in pg_stat_statements.")]
    text: str
    calls: int
    mean_ms: float
    measured_ms: Annotated[float | None, Field(description="With values of the tables; null where it cannot be run.")]
    why_not: str | None


class OptimizerProposal(BaseModel):
    """An index that is worth a trial."""

    table: str
    index: str
    ddl: str
    why: str
    estimated_bytes: int


class OptimizerBurden(BaseModel):
    """An index that costs writes in vain."""

    table: str
    index: str
    fault: Literal["invalid", "duplicate", "redundant", "unused", "harmful", "leftover"]
    reason: str
    size_bytes: int


class OptimizerWarning(BaseModel):
    """What no index mends, or what waits for one."""

    kind: str
    query_id: str
    text: str


class OptimizerAlarm(BaseModel):
    """A statement that got another plan and became slower."""

    query_id: str
    before_ms: float
    after_ms: float


class OptimizerEntry(BaseModel):
    """What was done to an index. Times are of its statements together, weighted by their calls."""

    id: int
    at: datetime
    action: str
    table: str
    index: str
    why: str
    before_ms: float | None
    after_ms: float | None
    statement: str
    undone_at: datetime | None


class Optimizer(BaseModel):
    """The query optimizer with what its last round found."""

    mode: Literal["advise", "auto"]
    is_owner: bool
    rounds: int
    failures: int
    last_round_at: datetime | None
    last_round_s: float | None
    fault: Annotated[str | None, Field(description="Why the last round failed.")]
    statements: list[OptimizerStatement]
    proposals: list[OptimizerProposal]
    burdens: list[OptimizerBurden]
    warnings: list[OptimizerWarning]
    alarms: list[OptimizerAlarm]


def shown_optimizer(state: OptimizerState) -> dict[str, Any]:
    return {
        "mode": state.mode,
        "is_owner": state.is_owner,
        "rounds": state.rounds,
        "failures": state.failures,
        "last_round_at": state.last_round_at,
        "last_round_s": state.last_round_s,
        "fault": state.fault,
        **_report(state.report),
    }


def _report(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {name: [] for name in ("statements", "proposals", "burdens", "warnings", "alarms")}
    # Ids take all 64 bits: as numbers, JavaScript would round them.
    return {
        "statements": [
            {
                "query_id": str(each.query_id),
                "text": each.text,
                "calls": each.calls,
                "mean_ms": each.mean_ms,
                "measured_ms": each.measured_ms,
                "why_not": each.why_not,
            }
            for each in report.statements
        ],
        "proposals": [
            {
                "table": each.table,
                "index": each.name,
                "ddl": each.ddl,
                "why": each.why,
                "estimated_bytes": each.estimated_bytes,
            }
            for each in report.proposals
        ],
        "burdens": [
            {
                "table": str(each.index.table),
                "index": each.index.name,
                "fault": each.fault.value,
                "reason": each.reason,
                "size_bytes": each.index.size_bytes,
            }
            for each in report.burdens
        ],
        "warnings": [
            {"kind": each.kind, "query_id": str(each.query_id), "text": each.text} for each in report.warnings
        ],
        "alarms": [
            {"query_id": str(each.query_id), "before_ms": each.before_ms, "after_ms": each.after_ms}
            for each in report.alarms
        ],
    }


def shown_entry(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "at": row["at"],
        "action": row["action"],
        "table": row["table_name"],
        "index": row["index_name"],
        "why": row["why"],
        "before_ms": row["before_ms"],
        "after_ms": row["after_ms"],
        "statement": row["statement"],
        "undone_at": row["undone_at"],
    }
