"""Refunds in PostgreSQL; they are written with their attempts."""

from __future__ import annotations

from dataclasses import fields
from operator import itemgetter
from uuid import UUID

from asyncpg import Record

from actors.pool.database import Database
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.lists import ListReads
from serve_app.domain.refund import Refund, RefundStatus
from serve_app.storage.statements import load_statements

_NAMES = [field.name for field in fields(Refund)]
_COLUMNS = itemgetter(*_NAMES)
_STATUS = _NAMES.index("status")
_LAST_ID = UUID(int=(1 << 128) - 1)


class RefundRepository:
    """Reads refunds."""

    def __init__(self, database: Database, lists: ListReads | None = None) -> None:
        """`lists` may come from replicas."""
        self._sql = load_statements("serve_app.refunds")
        self._database = database
        self._lists = lists or ListReads(database)

    async def find(self, merchant_id: UUID, livemode: bool, refund_id: UUID) -> Refund | None:
        """Return the refund, None where this merchant has none of that id in that mode."""
        row = await self._database.fetchrow(self._sql["find_refund"], merchant_id, refund_id, livemode)
        return None if row is None else _refund(row)

    async def page(self, key: PaymentKey, before: UUID | None, limit: int) -> list[Refund]:
        """Return up to `limit` refunds of a payment, newest first."""
        arguments = (key.merchant_id, key.payment_id, before or _LAST_ID, limit)
        rows = await self._lists.of_merchant(key.merchant_id, key.livemode, self._sql["list_refunds"], *arguments)
        return [_refund(row) for row in rows]


def _refund(row: Record) -> Refund:
    refund = list(_COLUMNS(row))
    refund[_STATUS] = RefundStatus(refund[_STATUS])
    return Refund(*refund)
