"""Reads what is exported. Every statement is one short page in its own transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from actors.pool.database import Database
from actors.pool.faults import RESOURCE
from actors.runtime.errors import Unavailable
from serve_app.batch.repeat import REPEAT_S, repeated
from serve_app.domain.settlement import start_of
from serve_app.exports.ranges import TABLES, ExportRange, ranges_of
from serve_app.storage.statements import load_statements

TIMEOUT_S = 30.0
PAGE = 5000
_MERCHANTS_PAGE = 500
_FIRST_ID = UUID(int=0)


class ReplicaBehind(Exception):
    """The replica does not have all of what is to be exported; nothing was written from it."""

    def __init__(self, needed: datetime) -> None:
        super().__init__(needed)
        self.needed = needed

    def __str__(self) -> str:
        return f"the replica has not replayed all up to {self.needed.isoformat()}: wait, or name another one"


class ExportRepository:
    """Plans days and reads ranges."""

    def __init__(self, database: Database, *, page: int = PAGE, repeat_s: float = REPEAT_S) -> None:
        """`repeat_s`: for how long a page is tried again while the database is away."""
        self._repeat_s = repeat_s
        self._database = database
        self._page = page
        self._sql = load_statements("serve_app.exports")

    async def require_current(self, until: date) -> None:
        """Raise ``ReplicaBehind`` where the server is a standby that has not replayed all before `until`."""
        (row,) = await self._fetch("replica_is_behind", start_of(until))
        if row["is_behind"]:
            raise ReplicaBehind(start_of(until))

    async def require_standby(self) -> None:
        """Raise ``Unavailable`` where the server is a primary: that one is read on connections of its budget."""
        rows = await self._database.fetch("SELECT pg_is_in_recovery() AS is_standby")
        if not rows[0]["is_standby"]:
            raise Unavailable(RESOURCE, "it is a primary", 1.0)

    async def first_day(self) -> date | None:
        """Return the day of the first payment, None where there is none."""
        first: UUID | None = None
        async for merchants in self._merchants():
            (row,) = await self._fetch("first_payment", merchants)
            first = row["id"] if first is None else min(first, row["id"])
        if first is None:
            return None
        # The first 48 bits of a UUIDv7 are milliseconds since 1970.
        return datetime.fromtimestamp((first.int >> 80) / 1000, start_of(date.min).tzinfo).date()

    async def plan(self, day: date) -> list[ExportRange]:
        """Return the ranges that have rows on a day."""
        ranges: list[ExportRange] = []
        for table in TABLES:
            (whole,) = ranges_of(table, day, [_FIRST_ID])
            having: list[UUID] = []
            async for merchants in self._merchants():
                rows = await self._fetch(f"merchants_of_{table}", merchants, whole.first_id, whole.end_id)
                having += [row["merchant_id"] for row in rows]
            ranges += ranges_of(table, day, having)
        return ranges

    async def pages(self, one: ExportRange) -> AsyncIterator[Sequence[Record]]:
        """Yield the rows of a range, a merchant after the other, in the order of their ids."""
        for merchant in one.merchants:
            after = one.first_id
            while rows := await self._fetch(one.table, merchant, after, one.end_id, self._page):
                yield rows
                after = UUID(int=rows[-1]["key"].int + 1)

    async def _merchants(self) -> AsyncIterator[list[UUID]]:
        after = _FIRST_ID
        while rows := await self._fetch("list_merchants", after, _MERCHANTS_PAGE):
            yield [row["merchant_id"] for row in rows]
            after = rows[-1]["merchant_id"]

    async def _fetch(self, name: str, *arguments: Any) -> list[Record]:
        return await repeated(
            lambda: self._database.fetch(self._sql[name], *arguments, timeout_s=TIMEOUT_S), repeat_s=self._repeat_s
        )
