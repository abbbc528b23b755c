"""Maintenance of the database, as operators see it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from actors.maintenance.figures import TableFigures
from actors.maintenance.journal import Entry
from actors.maintenance.step import Step
from serve_app.maintenance.service import MaintenanceStanding

JOURNAL_SHOWN = 20
TABLES_SHOWN = 20


class MaintenanceStep(BaseModel):
    """Something that is worth doing."""

    action: str
    target: str
    urgency: Annotated[
        Literal["idle", "due", "urgent"],
        Field(description="Idle: in a quiet hour. Due: also while the database is busy. Urgent: at once."),
    ]
    reason: str
    statement: str
    cost_bytes: Annotated[int, Field(description="What it reads and writes, about.")]


class MaintenanceEntry(BaseModel):
    """Something that was done."""

    id: str
    started_at: datetime
    action: str
    target: str
    ordered_by: Literal["schedule", "hand"]
    urgency: Literal["idle", "due", "urgent"]
    reason: str
    statement: str
    before: dict[str, Any]
    after: dict[str, Any] | None
    seconds: float | None
    outcome: Literal["running", "done", "failed", "interrupted"]
    error: str | None


class HorizonHolder(BaseModel):
    """Who keeps dead rows from being removed, however short a time."""

    kind: Literal["idle_in_transaction", "statement", "standby", "replication_slot", "prepared_transaction"]
    name: str
    role: str | None
    pid: int | None
    seconds: float | None
    xids: int | None


class MaintainedTable(BaseModel):
    """A table, with what maintenance goes by."""

    name: str
    rows: float
    dead: int
    heap_bytes: int
    index_bytes: int
    xid_age: int
    vacuumed_at: datetime | None
    analyzed_at: datetime | None


class MaintainedPartitions(BaseModel):
    """The days that a set of tables has partitions for."""

    name: str
    newest: date | None
    oldest: date | None


class DatabaseMaintenance(BaseModel):
    """How maintenance stands."""

    mode: Literal["auto", "watch"]
    xid_age: int
    freeze_age_max: Annotated[int, Field(description="The age at which autovacuum freezes whatever the load.")]
    planned: list[MaintenanceStep]
    journal: Annotated[list[MaintenanceEntry], Field(description="The newest, newest first.")]
    holders: list[HorizonHolder]
    tables: Annotated[list[MaintainedTable], Field(description="The largest.")]
    partitions: list[MaintainedPartitions]


def shown(standing: MaintenanceStanding) -> dict[str, Any]:
    """Return the standing as it is documented."""
    figures = standing.figures
    largest = sorted(figures.tables, key=lambda table: -table.heap_bytes - table.index_bytes)[:TABLES_SHOWN]
    return {
        "mode": standing.mode,
        "xid_age": figures.server.xid_age,
        "freeze_age_max": figures.server.freeze_age_max,
        "planned": [shown_step(step) for step in standing.planned],
        "journal": [_entry(entry) for entry in standing.journal],
        "holders": [
            {
                "kind": holder.kind.value,
                **{name: getattr(holder, name) for name in ("name", "role", "pid", "seconds", "xids")},
            }
            for holder in standing.holders
        ],
        "tables": [_table(table) for table in largest],
        "partitions": [
            {"name": each.name, "newest": each.newest, "oldest": each.oldest} for each in figures.partitions
        ],
    }


def shown_step(step: Step) -> dict[str, Any]:
    """Return a step as it is documented."""
    return {
        "action": step.action.value,
        "target": step.target,
        "urgency": step.urgency.name.lower(),
        "reason": step.reason,
        "statement": step.statement,
        "cost_bytes": step.cost_bytes,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {**entry._asdict(), "id": str(entry.id)}


def _table(table: TableFigures) -> dict[str, Any]:
    return {name: getattr(table, name) for name in MaintainedTable.model_fields}
