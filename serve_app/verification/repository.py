"""Reads payments with all that belongs to them, a page in one short snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from asyncpg import Record

from actors.pool.connector import Connection
from actors.pool.database import Database
from serve_app.batch.repeat import repeated
from serve_app.domain.payment import Payment, PaymentStatus
from serve_app.storage.statements import load_statements
from serve_app.verification.records import Dossier, StoredAttempt, StoredEvent, StoredPosting, StoredRefund

TIMEOUT_S = 60.0
_FIRST_ID, _LAST_ID = UUID(int=0), UUID(int=(1 << 128) - 1)
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PAYMENT_FIELDS = [field.name for field in fields(Payment)]


class Key(NamedTuple):
    """A payment's key: pages go in its order, and each is of one merchant."""

    merchant_id: UUID
    payment_id: UUID


FIRST_KEY = Key(_FIRST_ID, _FIRST_ID)


@dataclass(frozen=True, slots=True)
class Page:
    """Payments of a range of keys, and what lies in that range and belongs to none of them.

    The next page begins after `until`; None: it was the last one.
    """

    dossiers: Sequence[Dossier]
    stray_attempts: Sequence[Record]
    stray_postings: Sequence[Record]
    stray_events: Sequence[Record]
    wrong_settlements: Sequence[Record]
    until: Key | None


class VerificationRepository:
    """Reads for verification; it changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_statements("serve_app.verification")

    async def page(self, after: Key, limit: int) -> Page:
        """Return the payments after a key with all that belongs to them, as they were at one moment."""

        async def read() -> Page:
            async with self._database.transaction(TIMEOUT_S) as connection:
                await connection.execute(_SNAPSHOT)
                return await self._read(connection, after, limit)

        return await repeated(read)

    async def last_settled_day(self) -> date | None:
        """Return the last day that was settled to its end."""
        row = await repeated(lambda: self._database.fetchrow(self._sql["last_settled_day"]))
        day: date | None = row["day"] if row else None
        return day

    async def estimate_payments(self) -> int:
        """Return how many payments there are, about."""
        row = await repeated(lambda: self._database.fetchrow(self._sql["estimate_payments"]))
        return int(row["count"]) if row else 0

    async def _read(self, connection: Connection, after: Key, limit: int) -> Page:
        merchant = after.merchant_id
        rows = await connection.fetch(self._sql["payments_after"], *after, limit)
        is_last = len(rows) < limit
        bounds = (*after, _LAST_ID if is_last else rows[-1]["id"])
        attempts = await connection.fetch(self._sql["attempts_between"], *bounds)
        postings = await connection.fetch(self._sql["postings_between"], *bounds)
        refunds = await connection.fetch(self._sql["refunds_between"], *bounds)
        events = await connection.fetch(self._sql["events_between"], *bounds)
        wrong = await connection.fetch(self._sql["settlements_between"], *bounds)
        of_refunds = await connection.fetch(self._sql["refund_events"], merchant, [row["id"] for row in refunds])
        paid = {row["id"] for row in rows}
        strays = [row for row in postings if row["payment_id"] not in paid]
        known = await self._known_settlements(connection, merchant, strays)
        return Page(
            dossiers=_dossiers(rows, attempts, postings, refunds, events, of_refunds),
            stray_attempts=[row for row in attempts if row["payment_id"] not in paid],
            stray_postings=[row for row in strays if row["payment_id"] not in known],
            stray_events=[row for row in events if row["is_of_nothing"]],
            wrong_settlements=wrong,
            until=await self._next_merchant(connection, merchant) if is_last else Key(merchant, rows[-1]["id"]),
        )

    async def _next_merchant(self, connection: Connection, merchant: UUID) -> Key | None:
        found: UUID | None = await connection.fetchval(self._sql["next_merchant"], merchant)
        return None if found is None else Key(found, _FIRST_ID)

    async def _known_settlements(self, connection: Connection, merchant: UUID, postings: Sequence[Record]) -> set[UUID]:
        own = [row["payment_id"] for row in postings if row["payment_id"] == row["attempt_id"]]
        rows = await connection.fetch(self._sql["known_settlements"], merchant, own) if own else []
        return {row["id"] for row in rows}


def _dossiers(
    payments: Sequence[Record],
    attempts: Iterable[Record],
    postings: Iterable[Record],
    refunds: Sequence[Record],
    events: Iterable[Record],
    of_refunds: Iterable[Record],
) -> list[Dossier]:
    """Put together what belongs together. Ids are unique, so the payment's id alone tells."""
    attempts_of: defaultdict[UUID, list[StoredAttempt]] = defaultdict(list)
    for row in attempts:
        attempts_of[row["payment_id"]].append(StoredAttempt(*(row[name] for name in StoredAttempt._fields)))
    postings_of: defaultdict[UUID, list[StoredPosting]] = defaultdict(list)
    for row in postings:
        postings_of[row["payment_id"]].append(StoredPosting(*(row[name] for name in StoredPosting._fields)))
    refunds_of: defaultdict[UUID, list[StoredRefund]] = defaultdict(list)
    payment_of = {}
    for row in refunds:
        refunds_of[row["payment_id"]].append(StoredRefund(*(row[name] for name in StoredRefund._fields)))
        payment_of[row["id"]] = row["payment_id"]
    events_of: defaultdict[UUID, list[StoredEvent]] = defaultdict(list)
    for row in events:
        if row["is_of_payment"]:
            event = StoredEvent(row["object_id"], row["sequence"], row["type"], row["data"])
            events_of[row["object_id"]].append(event)
    for row in of_refunds:
        event = StoredEvent(row["object_id"], row["sequence"], row["type"], None)
        events_of[payment_of[row["object_id"]]].append(event)
    return [
        Dossier(
            _payment(row), attempts_of[row["id"]], postings_of[row["id"]], events_of[row["id"]], refunds_of[row["id"]]
        )
        for row in payments
    ]


def _payment(row: Any) -> Payment:
    values = {name: row[name] for name in _PAYMENT_FIELDS}
    # The metadata is nothing that attempts make.
    return Payment(**{**values, "status": PaymentStatus(values["status"]), "metadata": {}})
