"""Endpoints in PostgreSQL. Each change is one statement with its audit entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from actors.pool.database import Database
from serve_app.attempts.intent import Owner
from serve_app.domain.ids import new_id
from serve_app.storage.statements import load_statements
from serve_app.webhooks.rows import Endpoint
from serve_app.webhooks.verdict import DisabledReason

ENDPOINTS_MAX = 16
"""Of one merchant in one mode: every event is looked at for each of them."""


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """What to change of an endpoint; None stays, but for the description, which stays where `describes` is false."""

    url: str | None = None
    events: Sequence[str] | None = None
    describes: bool = False
    description: str | None = None
    enabled: bool | None = None


class EndpointRepository:
    """Reads and writes a merchant's endpoints. `poke` is called after tasks were enqueued."""

    def __init__(self, database: Database, poke: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._poke = poke
        self._sql = load_statements("serve_app.webhooks")

    async def create(self, owner: Owner, endpoint: Endpoint, secret: bytes) -> bool:
        """Store a new endpoint with its sealed secret; False where there are `ENDPOINTS_MAX`.

        Of several at once one or two more may pass.
        """
        row = await self._changed(
            "create_endpoint", owner.merchant_id, endpoint.id, owner.livemode, endpoint.url, list(endpoint.events),
            endpoint.description, secret, endpoint.created_at, ENDPOINTS_MAX, new_id(), *owner_arguments(owner),
        )  # fmt: skip
        return row is not None

    async def find(self, merchant_id: UUID, livemode: bool, endpoint_id: UUID) -> Endpoint | None:
        """Return the endpoint, None where the merchant has none of that id in that mode."""
        row = await self._database.fetchrow(self._sql["find_endpoint"], merchant_id, livemode, endpoint_id)
        return None if row is None else _endpoint(row)

    async def all(self, merchant_id: UUID, livemode: bool) -> list[Endpoint]:
        """Return the merchant's endpoints, newest first."""
        rows = await self._database.fetch(self._sql["list_endpoints"], merchant_id, livemode)
        return [_endpoint(row) for row in rows]

    async def change(self, owner: Owner, endpoint_id: UUID, change: EndpointChange, at: datetime) -> Endpoint | None:
        """Change an endpoint and return it; None where there is none. Safe to repeat."""
        row = await self._changed(
            "change_endpoint", owner.merchant_id, owner.livemode, endpoint_id, change.url,
            None if change.events is None else list(change.events), change.describes, change.description,
            change.enabled, at, new_id(), *owner_arguments(owner),
        )  # fmt: skip
        return None if row is None else _endpoint(row)

    async def rotate(
        self, owner: Owner, endpoint_id: UUID, secret: bytes, previous_until: datetime, at: datetime
    ) -> Endpoint | None:
        """Give the endpoint a new sealed secret; the one that it had signs too until `previous_until`."""
        row = await self._changed(
            "rotate_secret", owner.merchant_id, owner.livemode, endpoint_id, secret, previous_until, at, new_id(),
            *owner_arguments(owner),
        )  # fmt: skip
        return None if row is None else _endpoint(row)

    async def delete(self, owner: Owner, endpoint_id: UUID, at: datetime) -> bool:
        """Delete an endpoint; False where there is none."""
        row = await self._changed(
            "delete_endpoint", owner.merchant_id, owner.livemode, endpoint_id, at, new_id(), *owner_arguments(owner)
        )
        return row is not None

    async def order_redelivery(self, owner: Owner, endpoint_id: UUID, arguments: str, at: datetime) -> bool:
        """Enqueue the task that redelivers; False where the endpoint is not there or not enabled."""
        row = await self._changed(
            "order_redelivery", owner.merchant_id, owner.livemode, endpoint_id, arguments, at, new_id(),
            *owner_arguments(owner),
        )  # fmt: skip
        if row is not None:
            self._poke()
        return row is not None

    async def disable(
        self,
        endpoint: Endpoint,
        reason: DisabledReason,
        failing_before: datetime | None,
        at: datetime,
        event_id: UUID,
        event_data: str,
    ) -> bool:
        """Disable an endpoint with an event that tells so; False where it has changed since it was read, is disabled
        already, or (with `failing_before`) has not failed since then. Safe to repeat."""
        row = await self._changed(
            "disable_endpoint", endpoint.merchant_id, endpoint.id, endpoint.version, reason.value, failing_before,
            event_id, at, event_data, new_id(),
        )  # fmt: skip
        assert row is not None, "the statement always says what it did"
        if row["queued"]:
            self._poke()
        disabled: bool = row["disabled"]
        return disabled

    async def _changed(self, name: str, *arguments: Any) -> Any:
        """Run a statement that writes, once, and return its first row."""
        async with self._database.transaction() as connection:
            return await connection.fetchrow(self._sql[name], *arguments)


def owner_arguments(owner: Owner) -> tuple[UUID, str]:
    """Return who asks, as an audit entry names it."""
    return owner.requester.key_id, owner.requester.request_id


def _endpoint(row: Any) -> Endpoint:
    return Endpoint(
        merchant_id=row["merchant_id"],
        id=row["id"],
        livemode=row["livemode"],
        url=row["url"],
        events=row["events"],
        description=row["description"],
        enabled=row["enabled"],
        disabled_reason=DisabledReason(row["disabled_reason"]) if row["disabled_reason"] else None,
        failing_since=row["failing_since"],
        previous_secret_until=row["previous_secret_until"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
