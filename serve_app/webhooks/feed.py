"""The feed of events: everything that happened to a merchant's objects, in an order in which nothing is ever missed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from actors.pool.database import Database
from serve_app.storage.statements import load_statements
from serve_app.webhooks.message import Event


class EventFeed:
    """Reads events.

    The order is that of the writing transactions' numbers and, within one, of the ids. A page ends before the oldest
    transaction that is still open, whoever's it is: what it may yet write comes after all that was shown.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_statements("serve_app.webhooks")

    async def find(self, merchant_id: UUID, livemode: bool, event_id: UUID) -> Event | None:
        """Return an event, None where the merchant has none of that id in that mode."""
        row = await self._find(merchant_id, livemode, event_id)
        return None if row is None else _event(row)

    async def page(
        self, merchant_id: UUID, livemode: bool, *, after: UUID | None, type: str | None, limit: int
    ) -> list[Event] | None:
        """Return up to `limit` events in order, from the first or after one; None where there is no such one."""
        arguments = [merchant_id, livemode, type, limit]
        name = "feed_start"
        if after is not None:
            last = await self._find(merchant_id, livemode, after)
            if last is None:
                return None
            name = "feed_after"
            arguments += [str(last["xid"]), after]
        return [_event(row) for row in await self._database.fetch(self._sql[name], *arguments)]

    async def _find(self, merchant_id: UUID, livemode: bool, event_id: UUID) -> Any:
        return await self._database.fetchrow(self._sql["find_event"], merchant_id, livemode, event_id)


def _event(row: Any) -> Event:
    return Event(row["id"], row["type"], row["sequence"], row["data"], row["created_at"])
