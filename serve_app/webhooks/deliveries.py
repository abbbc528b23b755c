"""Deliveries and their tries in PostgreSQL: the log that merchants read, and what the delivering task works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from actors.pool.database import Database
from actors.pool.statement import BatchStatement
from serve_app.attempts.intent import Owner
from serve_app.domain.ids import new_id
from serve_app.storage.statements import load_statements
from serve_app.webhooks.message import Event
from serve_app.webhooks.repository import owner_arguments
from serve_app.webhooks.rows import Delivery, DeliveryKey, DueDelivery, Target, Try, TryRow
from serve_app.webhooks.verdict import DeliveryStatus, FailureReason

TRIES_SHOWN_MAX = 100
_LAST_ID = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class DeliveryPageRequest:
    """Which deliveries to list: the next `limit` older than `before`, of an endpoint, an event, a status."""

    limit: int
    before: UUID | None = None
    endpoint_id: UUID | None = None
    event_id: UUID | None = None
    status: DeliveryStatus | None = None


@dataclass(frozen=True, slots=True)
class RedeliveredPage:
    """How many events a page of a redelivery looked at, the last of them, and how many deliveries wait for it."""

    seen: int
    last: UUID | None
    queued: int


class DeliveryRepository:
    """Reads and writes deliveries. `poke` is called after tasks were enqueued."""

    def __init__(self, database: Database, poke: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._poke = poke
        self._sql = load_statements("serve_app.webhooks")
        self._load = database.committer(
            BatchStatement[DeliveryKey, DueDelivery](
                name="load_deliveries", sql=self._sql["load_deliveries"], result=_due, key=None, writes=False
            )
        )
        self._record = database.committer(
            BatchStatement[TryRow, bool](
                name="record_tries", sql=self._sql["record_tries"], result=_found, key=itemgetter(0, 1)
            )
        )

    async def load(self, key: DeliveryKey) -> DueDelivery | None:
        """Return a delivery with all that a try needs, None where it or its event is not there."""
        return await self._load.submit(key)

    async def record(self, row: TryRow) -> None:
        """Log a try and what follows from it; the delivery changes only if it is still of that round. Repeatable.

        Raises:
            Unavailable, Overloaded, OutcomeUnknown, DeadlineExceeded: it may not be logged; the task tries again.
        """
        await self._record.submit(row)

    async def drop(self, key: DeliveryKey, round: int, reason: FailureReason, at: datetime) -> None:
        """End a delivery without a try. Safe to repeat."""
        await self._database.execute(self._sql["drop_delivery"], *key, round, reason.value, at)

    async def find(self, merchant_id: UUID, livemode: bool, delivery_id: UUID) -> tuple[Delivery, Event] | None:
        """Return a delivery with its event, None where the merchant has none of that id in that mode."""
        row = await self._database.fetchrow(self._sql["find_delivery"], merchant_id, livemode, delivery_id)
        if row is None:
            return None
        event = Event(row["event_id"], row["event_type"], row["sequence"], row["data"], row["event_created_at"])
        return _delivery(row), event

    async def tries(self, key: DeliveryKey) -> list[Try]:
        """Return the newest tries of a delivery, newest first."""
        rows = await self._database.fetch(self._sql["list_tries"], *key, TRIES_SHOWN_MAX)
        return [_try(row) for row in rows]

    async def page(self, merchant_id: UUID, livemode: bool, request: DeliveryPageRequest) -> list[Delivery]:
        """Return up to `limit` deliveries, newest first."""
        unsuccessful = request.status in (DeliveryStatus.PENDING, DeliveryStatus.FAILED)
        rows = await self._database.fetch(
            self._sql["list_unsuccessful_deliveries" if unsuccessful else "list_deliveries"],
            merchant_id,
            livemode,
            request.before or _LAST_ID,
            request.endpoint_id,
            request.event_id,
            request.status.value if request.status else None,
            request.limit,
        )
        return [_delivery(row) for row in rows]

    async def retry(self, owner: Owner, delivery_id: UUID, at: datetime) -> Delivery | None:
        """Begin a new round at once and return the delivery; None where its endpoint takes nothing."""
        row = await self._written(
            "retry_delivery", owner.merchant_id, owner.livemode, delivery_id, at, new_id(), *owner_arguments(owner)
        )
        if row is None:
            return None
        self._poke()
        return _delivery(row)

    async def ping(self, owner: Owner, endpoint_id: UUID, event_data: str, at: datetime) -> Delivery | None:
        """Make an event for this endpoint alone and return its delivery; None where the endpoint takes nothing."""
        row = await self._written(
            "ping_endpoint", owner.merchant_id, owner.livemode, endpoint_id, new_id(), event_data, at, new_id(),
            *owner_arguments(owner),
        )  # fmt: skip
        if row is None:
            return None
        self._poke()
        return _delivery(row)

    async def redeliver_page(
        self,
        merchant_id: UUID,
        livemode: bool,
        endpoint_id: UUID,
        *,
        after: UUID,
        until: UUID,
        include_succeeded: bool,
        limit: int,
        at: datetime,
    ) -> RedeliveredPage:
        """Begin a new round for the next events. Safe to repeat; what has succeeded meanwhile may be sent again."""
        row = await self._written(
            "redeliver_page", merchant_id, livemode, endpoint_id, after, until, include_succeeded, limit, at
        )
        if row["queued"]:
            self._poke()
        return RedeliveredPage(row["seen"], row["last"], row["queued"])

    async def _written(self, name: str, *arguments: Any) -> Any:
        async with self._database.transaction() as connection:
            return await connection.fetchrow(self._sql[name], *arguments)


def _found(_row: Any) -> bool:
    return True


def _due(row: Any) -> DueDelivery:
    target = Target(
        enabled=row["enabled"],
        url=row["url"],
        secret=row["secret"],
        previous_secret=row["previous_secret"],
        previous_secret_until=row["previous_secret_until"],
        failing_since=row["failing_since"],
    )
    return DueDelivery(
        endpoint_id=row["endpoint_id"],
        livemode=row["livemode"],
        status=DeliveryStatus(row["status"]),
        round=row["round"],
        tries=row["tries"],
        next_try_at=row["next_try_at"],
        event=Event(row["event_id"], row["type"], row["sequence"], row["data"], row["event_created_at"]),
        target=target if row["has_endpoint"] else None,
    )


def _delivery(row: Any) -> Delivery:
    return Delivery(
        merchant_id=row["merchant_id"],
        id=row["id"],
        endpoint_id=row["endpoint_id"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        status=DeliveryStatus(row["status"]),
        reason=FailureReason(row["reason"]) if row["reason"] else None,
        tries=row["tries"],
        next_try_at=row["next_try_at"],
        response_code=row["response_code"],
        error=row["error"],
        duration_ms=row["duration_ms"],
        tried_at=row["tried_at"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )


def _try(row: Any) -> Try:
    return Try(
        id=row["id"],
        url=row["url"],
        response_code=row["response_code"],
        response_body=row["response_body"],
        error=row["error"],
        duration_ms=row["duration_ms"],
        started_at=row["started_at"],
        next_try_at=row["next_try_at"],
    )
