"""The audit trail in PostgreSQL. It is written with what it tells of; here it is read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asyncpg import Record
from pydantic_core import to_json

from serve_app.caching.lists import ListReads
from serve_app.caching.models import AUDIT_PAGE, merchant_tag, page_name
from serve_app.caching.reader import CachedReads
from serve_app.domain.ids import Prefix, public_id
from serve_app.snapshots import encode_page, rfc3339
from serve_app.storage.statements import load_statements

_LAST_ID = UUID(int=(1 << 128) - 1)


class AuditRepository:
    """Reads audit entries, through the cache."""

    def __init__(self, lists: ListReads, reads: CachedReads) -> None:
        self._reads = reads
        self._lists = lists
        self._list_sql = load_statements("serve_app.audit")["list_audit_entries"]

    async def page(
        self, merchant_id: UUID, livemode: bool, *, before: UUID | None, subject: str | None, limit: int
    ) -> bytes:
        """Return a page of up to `limit` entries as JSON, newest first."""
        tag = merchant_tag(merchant_id, livemode)

        async def load() -> bytes:
            last = before or _LAST_ID
            rows = await self._lists.of_merchant(
                merchant_id, livemode, self._list_sql, merchant_id, livemode, last, subject, limit + 1
            )
            return encode_page([to_json(_entry(row)) for row in rows[:limit]], rows[limit:])

        return await self._reads.page(AUDIT_PAGE, page_name(AUDIT_PAGE, tag, limit, before, subject), tag, load)


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
