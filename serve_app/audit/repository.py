"""The audit trail in PostgreSQL. It is written with what it tells of; here it is read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asyncpg import Record

from actors.pool.database import Database
from serve_app.domain.ids import Prefix, public_id
from serve_app.snapshots import rfc3339
from serve_app.storage.statements import load_statements

_LAST_ID = UUID(int=(1 << 128) - 1)


class AuditRepository:
    """Reads audit entries."""

    def __init__(self, database: Database) -> None:
        self._list_sql = load_statements("serve_app.audit")["list_audit_entries"]
        self._database = database

    async def page(
        self, merchant_id: UUID, livemode: bool, *, before: UUID | None, subject: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return up to `limit` entries, newest first, and whether there are older ones."""
        rows = await self._database.fetch(self._list_sql, merchant_id, livemode, before or _LAST_ID, subject, limit + 1)
        return [_entry(row) for row in rows[:limit]], len(rows) > limit


def _entry(row: Record) -> dict[str, Any]:
    return {
        "id": public_id(Prefix.AUDIT, row["id"]),
        "object": "audit_entry",
        "api_key": public_id(Prefix.API_KEY, row["key_id"]) if row["key_id"] else None,
        "request_id": row["request_id"],
        "action": row["action"],
        "object_id": row["object_id"],
        "result": row["result"],
        "created_at": rfc3339(row["created_at"]),
    }
