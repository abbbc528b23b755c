"""Settles days, one after the other: collect their postings, close their settlements, write the files, mark payments.

A day is in one phase at a time, and every page of a phase can be repeated. So a run that was killed anywhere is
finished by the next one, with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from asyncpg import Record

from actors.runtime.clock import Clock
from serve_app.attempts.rows import PaymentKey
from serve_app.batch.meter import Meter
from serve_app.batch.repeat import repeated
from serve_app.caching.changes import Changes
from serve_app.domain.settlement import LATE_MAX, Closing, FeeSchedule, Sums, close, end_of, settlement_id, start_of
from serve_app.settlements.payout_file import payout_path, write_payouts
from serve_app.settlements.repository import SettlementRepository
from serve_app.settlements.rows import CloseRow, CollectRow, DayTotals, MarkRow, PostingRow

SETTLED_AFTER = timedelta(minutes=2)
"""How long after its end a day is settled: nearly nothing is committed later than that."""
COLLECT_PAGE = 5000
MARK_PAGE = 1000
"""Payments that change in one transaction: few enough that it is committed soon after the caches were told of it."""
CLOSE_PAGE = 500


class DayNotOver(Exception):
    """The day cannot be settled yet; nothing was done."""

    def __init__(self, day: date) -> None:
        super().__init__(day)
        self.day = day

    def __str__(self) -> str:
        return f"{self.day.isoformat()} (UTC) is not over for {SETTLED_AFTER.seconds // 60} minutes"


class SettlementService:
    """Settles days. One at a time on a database: two do no harm but work against each other."""

    def __init__(
        self,
        repository: SettlementRepository,
        changes: Changes,
        clock: Clock,
        default_fees: FeeSchedule,
        *,
        collect_page: int = COLLECT_PAGE,
        mark_page: int = MARK_PAGE,
    ) -> None:
        self._repository = repository
        self._changes = changes
        self._clock = clock
        self._default_fees = default_fees
        self._collect_page = collect_page
        self._mark_page = mark_page

    async def settle_until(self, last: date, folder: Path, meter: Meter) -> list[DayTotals]:
        """Settle every day that is not settled up to and including `last`, and return what those days came to.

        `last` is told of also where it was settled before, and its payout files are written again.

        Raises:
            DayNotOver: `last` may still get postings.
        """
        if self._clock.now() < end_of(last) + SETTLED_AFTER:
            raise DayNotOver(last)
        totals: list[DayTotals] = []
        day = await self._repository.next_day()
        while day is not None and day <= last:
            await self._settle(day, folder, meter)
            totals += await self._repository.day_totals(day)
            day += timedelta(days=1)
        if not totals:
            await self._write_files(last, folder)
            totals = await self._repository.day_totals(last)
        return totals

    async def _settle(self, day: date, folder: Path, meter: Meter) -> None:
        phase, settled_at = await self._repository.begin_day(day, self._clock.now())
        if phase == "collecting":
            await self._collect(day, meter)
            phase = await self._repository.end_phase(day, phase, "closing")
        if phase == "closing":
            await self._close(day, settled_at)
            phase = await self._repository.end_phase(day, phase, "marking")
        await self._write_files(day, folder)
        if phase == "marking":
            await self._mark(day, settled_at, meter)
            await self._repository.end_phase(day, phase, "finished")

    async def _collect(self, day: date, meter: Meter) -> None:
        since, until = start_of(day) - LATE_MAX, end_of(day)
        meter.begin(f"{day} collect", await self._repository.count_postings(since, until))
        async for page in self._repository.to_collect(since, until, day, self._collect_page):
            due = [self._collected(row, day) for row in page if not row["is_settled"]]
            if due:
                await self._repository.collect(due, day)
            meter.advance(len(page))

    def _collected(self, row: Record, day: date) -> CollectRow:
        merchant_id, livemode, currency = row["merchant_id"], row["livemode"], row["currency"]
        amount, fee = -row["amount"], 0
        if row["is_capture"]:
            amount = row["amount"]
            fee = self._fees(row).fee(amount)
        settlement = settlement_id(merchant_id, livemode, currency, day)
        return CollectRow(
            merchant_id, row["payment_id"], row["attempt_id"], settlement, livemode, currency, amount, fee
        )

    def _fees(self, row: Record) -> FeeSchedule:
        if row["basis_points"] is None:
            return self._default_fees
        return FeeSchedule(row["basis_points"], row["fixed_minor"])

    async def _close(self, day: date, settled_at: datetime) -> None:
        after = (UUID(int=0), UUID(int=0))
        while page := await self._repository.to_close(day, after, CLOSE_PAGE):
            closings = [(row, _closing(row)) for row in page]
            rows = [_close_row(row, closing) for row, closing in closings]
            postings = [posting for row, closing in closings for posting in _postings(row, closing)]
            await self._repository.close(rows, postings, settled_at)
            after = (page[-1]["merchant_id"], page[-1]["id"])

    async def _write_files(self, day: date, folder: Path) -> None:
        for livemode in (True, False):
            await write_payouts(payout_path(folder, day, livemode), day, self._repository.payouts(day, livemode))

    async def _mark(self, day: date, settled_at: datetime, meter: Meter) -> None:
        since, until = start_of(day) - LATE_MAX, end_of(day)
        meter.begin(f"{day} mark payments", await self._repository.count_postings(since, until))
        async for page in self._repository.to_mark(since, until, day, self._mark_page):
            due = [row for row in page if row["is_due"]]
            if due:
                await repeated(partial(self._mark_page_of, due, settled_at))
            meter.advance(len(page))

    async def _mark_page_of(self, due: Sequence[Record], settled_at: datetime) -> None:
        """Change payments between the two ends of one change for the caches: nobody reads them stale, then or later."""
        keys = [PaymentKey(row["merchant_id"], row["livemode"], row["payment_id"]) for row in due]
        change = self._changes.of_many(keys)
        try:
            await change.begun()
            rows = [MarkRow(row["merchant_id"], row["payment_id"], row["settlement_id"]) for row in due]
            await self._repository.mark(rows, settled_at)
        finally:
            await change.end_unknown()


def _closing(row: Record) -> Closing:
    sums = Sums(row["captured_minor"], row["refunded_minor"], row["fee_minor"])
    return close(sums, row["carried_in_minor"], row["currency"])


def _close_row(row: Record, closing: Closing) -> CloseRow:
    return CloseRow(
        row["merchant_id"], row["id"], closing.carried_in_minor, closing.payout_minor, closing.carried_out_minor
    )


def _postings(row: Record, closing: Closing) -> list[PostingRow]:
    """Return the settlement's own postings; the leg is the posting's, so a repeat posts nothing."""
    return [
        PostingRow(row["merchant_id"], row["id"], leg, posting.debit, posting.credit, posting.amount, posting.currency)
        for leg, posting in enumerate((closing.fee, closing.payout))
        if posting is not None
    ]
