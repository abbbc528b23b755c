"""Settlements in PostgreSQL. Every read is one short statement; every write is one statement that can be repeated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record

from actors.pool.database import Database
from serve_app.batch.position import Position
from serve_app.batch.repeat import repeated
from serve_app.settlements.rows import CloseRow, CollectRow, DayTotals, MarkRow, PostingRow
from serve_app.storage.statements import load_statements

TIMEOUT_S = 30.0
PAYOUTS_PAGE = 1000
_FIRST_ID = UUID(int=0)


class SettlementRepository:
    """Walks the books, keeps settlements and marks payments.

    Every method but ``mark`` is repeated while the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_statements("serve_app.settlements")

    async def next_day(self) -> date | None:
        """Return the first day that is not settled to its end, None where nothing was ever posted."""
        (row,) = await self._fetch("next_day")
        day: date | None = row["day"]
        return day

    async def begin_day(self, day: date, now: datetime) -> tuple[str, datetime]:
        """Begin a day, or find it begun; return its phase and its moment of settlement."""
        (row,) = await self._write("begin_day", day, now)
        return row["phase"], row["settled_at"]

    async def end_phase(self, day: date, phase: str, following: str) -> str:
        """Go on from one phase of a day to the following one, and return that."""
        await self._write("end_phase", day, phase, following)
        return following

    async def count_postings(self, since: datetime, until: datetime) -> int:
        """Return how many postings that time has, for a progress bar."""
        (row,) = await self._fetch("count_postings", since, until)
        count: int = row["count"]
        return count

    def to_collect(self, since: datetime, until: datetime, day: date, page: int) -> AsyncIterator[Sequence[Record]]:
        """Yield the captures and refunds of that time, page by page."""
        return self._pages("postings_to_collect", since, until, day, page)

    def to_mark(self, since: datetime, until: datetime, day: date, page: int) -> AsyncIterator[Sequence[Record]]:
        """Yield the captures of that time with the settlements that their payments do not tell of, page by page."""
        return self._pages("captures_to_mark", since, until, day, page)

    async def collect(self, rows: Sequence[CollectRow], day: date) -> None:
        """Give postings to settlements of the day."""
        await self._write("collect", *_columns(rows), day)

    async def to_close(self, day: date, after: tuple[UUID, UUID], page: int) -> Sequence[Record]:
        """Return settlements of the day that are not closed."""
        return await self._fetch("settlements_to_close", day, *after, page)

    async def close(self, rows: Sequence[CloseRow], postings: Sequence[PostingRow], closed_at: datetime) -> None:
        """Close settlements and post what they come to."""
        columns = _columns(postings) if postings else [[] for _ in PostingRow._fields]
        await self._write("close_settlements", *_columns(rows), closed_at, *columns)

    async def mark(self, rows: Sequence[MarkRow], settled_at: datetime) -> None:
        """Have payments tell of their settlements; tried once. Whoever calls it tells the caches, before each try."""
        await self._write_once("mark_payments", *_columns(rows), settled_at)

    async def payouts(self, day: date, livemode: bool) -> AsyncIterator[Record]:
        """Yield what a day pays out, by merchant."""
        after = (_FIRST_ID, _FIRST_ID)
        while rows := await self._fetch("payouts", day, livemode, *after, PAYOUTS_PAGE):
            for row in rows:
                yield row
            after = (rows[-1]["merchant_id"], rows[-1]["id"])

    async def day_totals(self, day: date) -> list[DayTotals]:
        """Return what a day came to, by mode and currency."""
        return [DayTotals(day, **row) for row in await self._fetch("day_totals", day)]

    async def _pages(
        self, name: str, since: datetime, until: datetime, day: date, page: int
    ) -> AsyncIterator[Sequence[Record]]:
        position = Position.before(since)
        while rows := await self._fetch(name, *position, until, page, day):
            yield rows
            position = Position.of(rows[-1])

    async def _fetch(self, name: str, *arguments: Any) -> list[Record]:
        return await repeated(lambda: self._database.fetch(self._sql[name], *arguments, timeout_s=TIMEOUT_S))

    async def _write(self, name: str, *arguments: Any) -> list[Record]:
        return await repeated(lambda: self._write_once(name, *arguments))

    async def _write_once(self, name: str, *arguments: Any) -> list[Record]:
        async with self._database.transaction(TIMEOUT_S) as connection:
            rows: list[Record] = await connection.fetch(self._sql[name], *arguments)
            return rows


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True))
