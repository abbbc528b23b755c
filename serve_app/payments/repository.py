"""Payments in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from asyncpg import Record

from actors.pool.database import Database
from actors.pool.statement import BatchStatement
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.lists import ListReads
from serve_app.domain.ids import first_id_at
from serve_app.domain.payment import Payment, PaymentStatus
from serve_app.storage.json_text import decode_metadata
from serve_app.storage.statements import load_statements

_COLUMNS = itemgetter(*(field.name for field in fields(Payment)))
_FIRST_ID, _LAST_ID = UUID(int=0), UUID(int=(1 << 128) - 1)
TIMELINE_ITEMS_MAX = 1000
"""How many attempts, postings, events, deliveries and tries of one payment a timeline shows of each."""


class UpdateRow(NamedTuple):
    """A change of what a merchant may change at any time; `version` is the one that it makes."""

    merchant_id: UUID
    payment_id: UUID
    version: int
    sequence: int
    description: str | None
    metadata: str
    updated_at: datetime
    event_id: UUID
    event_type: str
    event_data: str
    audit_id: UUID
    audit_object: str
    key_id: UUID
    request_id: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which payments to list: the next `limit` older than `before`, of a status and a range of time of creation."""

    limit: int
    before: UUID | None = None
    status: PaymentStatus | None = None
    created_gte: datetime | None = None
    created_lt: datetime | None = None


class PaymentRepository:
    """Reads payments, and changes what needs no processor."""

    def __init__(
        self, database: Database, poke: Callable[[], None] = lambda: None, lists: ListReads | None = None
    ) -> None:
        """`poke` is called after each change for which tasks were enqueued; `lists` may come from replicas."""
        self._lists = lists or ListReads(database)
        self._sql = load_statements("serve_app.payments")
        self._poke = poke
        self._find = database.committer(
            BatchStatement[PaymentKey, Payment](
                name="find_payments", sql=self._sql["find_payments"], result=_payment, key=None, writes=False
            )
        )
        self._update = database.committer(
            BatchStatement[UpdateRow, bool](
                name="update_payments",
                sql=self._sql["update_payments"],
                result=itemgetter("queued"),
                key=itemgetter(0, 1),
            )
        )

    async def find(self, key: PaymentKey) -> Payment | None:
        """Return the payment as it is now, None where this merchant has none of that id in that mode."""
        return await self._find.submit(key)

    async def update(self, row: UpdateRow) -> bool:
        """Change a payment; False where it changed since it was read."""
        queued = await self._update.submit(row)
        if queued:
            self._poke()
        return queued is not None

    async def page(self, merchant_id: UUID, livemode: bool, request: PageRequest) -> list[Payment]:
        """Return up to `limit` payments, newest first."""
        oldest = first_id_at(request.created_gte) if request.created_gte else _FIRST_ID
        rows = await self._lists.of_merchant(
            merchant_id,
            livemode,
            self._sql["list_payments"],
            merchant_id,
            livemode,
            request.before or _LAST_ID,
            oldest,
            request.status.value if request.status else None,
            request.created_gte,
            request.created_lt,
            request.limit,
        )
        return [_payment(row) for row in rows]

    async def timeline(self, merchant_id: UUID, livemode: bool, payment_id: UUID) -> dict[str, Sequence[Record]]:
        """Return the rows of each kind that belong to a payment."""
        arguments = (merchant_id, payment_id, TIMELINE_ITEMS_MAX)
        return {
            kind: await self._lists.of_merchant(merchant_id, livemode, self._sql[f"timeline_{kind}"], *arguments)
            for kind in ("attempts", "postings", "events", "deliveries", "tries")
        }


def _payment(row: Any) -> Payment:
    payment = list(_COLUMNS(row))
    payment[_STATUS] = PaymentStatus(payment[_STATUS])
    payment[_METADATA] = decode_metadata(payment[_METADATA])
    return Payment(*payment)


_NAMES = [field.name for field in fields(Payment)]
_STATUS, _METADATA = _NAMES.index("status"), _NAMES.index("metadata")
