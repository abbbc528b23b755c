"""The audit trail on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ListAuditEntries(BaseModel):
    """Which entries to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=20, ge=1, le=100)
    starting_after: str | None = Field(default=None, description="The id of the last entry of the page before.")
    object_id: str | None = Field(default=None, max_length=100, description="Entries about this object alone.")


class AuditEntryView(BaseModel):
    """One thing that somebody did."""

    id: str
    object: Literal["audit_entry"]
    api_key: str | None
    request_id: str
    action: str
    object_id: str
    result: str
    created_at: datetime


class AuditPage(BaseModel):
    """Audit entries, newest first."""

    data: list[AuditEntryView]
    has_more: bool
