"""Reads of lists, which replicas of the database may answer.

What a payment is decided on is never read here: that comes from the primary.

A merchant's list shows all that was acknowledged to that merchant before the list was asked for, through whichever
replica of the gateway either went, and no token travels with it. What a replica must have replayed for that is the
merchant's mark: a position of the primary's log at or after the merchant's last write. The cache keeps it beside the
merchant's pages, so every change of theirs makes it be asked for again before the change is acknowledged; without a
cache it is asked for each time. What changes without telling the caches (keys and endpoints that are made on the
command line) shows within the bound of lag.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from asyncpg import Record

from actors.pool.database import Database
from actors.pool.replicas.mark import Mark, Marks
from actors.pool.replicas.reads import ReplicaReads
from serve_app.caching.models import MARK, merchant_tag, page_name
from serve_app.caching.reader import CachedReads


class ListReads:
    """Reads rows of lists: from a replica where there is one that may answer, else from the primary."""

    def __init__(
        self, database: Database, cached: CachedReads | None = None, replicas: ReplicaReads | None = None
    ) -> None:
        assert replicas is None or cached is not None, "marks are read through the cache"
        self._database = database
        self._cached = cached
        self._replicas = replicas
        self._marks = Marks(database) if replicas is not None else None

    async def of_merchant(self, merchant_id: UUID, livemode: bool, sql: str, *args: Any) -> list[Record]:
        """Return rows that show the merchant's own writes. Raises what ``Database.fetch`` does."""
        if self._replicas is None:
            return await self._database.fetch(sql, *args)
        mark = await self._mark(merchant_id, livemode)
        return await self._replicas.fetch(sql, *args, mark=mark)

    async def fetch(self, sql: str, *args: Any) -> list[Record]:
        """Return rows that may lack the last seconds. Raises what ``Database.fetch`` does."""
        if self._replicas is None:
            return await self._database.fetch(sql, *args)
        return await self._replicas.fetch(sql, *args)

    async def _mark(self, merchant_id: UUID, livemode: bool) -> Mark:
        assert self._cached is not None
        assert self._marks is not None
        marks, tag = self._marks, merchant_tag(merchant_id, livemode)

        async def load() -> bytes:
            return (await marks.now()).encode()

        return Mark.decode(await self._cached.page(MARK, page_name(MARK, tag), tag, load))
