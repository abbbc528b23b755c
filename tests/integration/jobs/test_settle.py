"""Settlements on a real PostgreSQL: they sum to the books, whatever happens to the job."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.pool.database import Database
from actors.runtime.clock import ManualClock, SystemClock
from serve_app.batch.lock import JobRunning, exclusive
from serve_app.caching.changes import Changes
from serve_app.domain.ids import Prefix, new_id, public_id
from serve_app.domain.settlement import FeeSchedule, settlement_id
from serve_app.settlements.repository import SettlementRepository
from serve_app.settlements.rows import DayTotals
from serve_app.settlements.service import DayNotOver, SettlementService
from tests.integration.jobs.conftest import MERCHANTS, JobDatabase, contents, plain

FEES = FeeSchedule(290, 30)
FIRST, LAST = date(2026, 1, 1), date(2026, 1, 6)
_STATE = {
    "settlements": "SELECT id, captures, refunds, captured_minor, refunded_minor, fee_minor, carried_in_minor, "
    "payout_minor, carried_out_minor, closed_at IS NOT NULL FROM settlements ORDER BY merchant_id, id",
    "items": "SELECT * FROM settlement_items ORDER BY merchant_id, payment_id, attempt_id",
    "payments": "SELECT merchant_id, id, version, sequence, settlement_id, settled_at IS NULL FROM payments "
    "ORDER BY merchant_id, id",
    "postings": "SELECT merchant_id, payment_id, attempt_id, leg, debit, credit, amount, currency FROM ledger_postings "
    "ORDER BY merchant_id, payment_id, attempt_id, leg",
    "days": "SELECT day, phase FROM settlement_days ORDER BY day",
}
_PAYABLE = """
SELECT merchant_id, currency, -sum(amount) AS owed FROM ledger_entries WHERE account = 'merchant_payable'
GROUP BY merchant_id, currency ORDER BY merchant_id, currency
"""
_CARRIED = """
SELECT merchant_id, currency, sum(carried_out_minor) AS owed FROM (
    SELECT DISTINCT ON (merchant_id, livemode, currency) * FROM settlements
    ORDER BY merchant_id, livemode, currency, day DESC) AS newest
GROUP BY merchant_id, currency ORDER BY merchant_id, currency
"""
_INSERT = """
INSERT INTO ledger_postings (merchant_id, payment_id, attempt_id, debit, credit, amount, currency, created_at)
SELECT merchant_id, id, $2, $3, $4, $5, currency, $6 FROM payments WHERE id = $1 RETURNING merchant_id, currency
"""


def _service(database: Database, **options: Any) -> SettlementService:
    return SettlementService(SettlementRepository(database), Changes(None), SystemClock(), FEES, **options)


async def _settle(books: JobDatabase, folder: Path, last: date = LAST) -> list[DayTotals]:
    async with books.opened() as database:
        return await _service(database).settle_until(last, folder, books.meter)


def _payouts(text: bytes) -> csv.DictReader[str]:
    return csv.DictReader(text.decode().splitlines())


async def _state(books: JobDatabase) -> dict[str, Any]:
    return {name: plain(await books.fetch(sql)) for name, sql in _STATE.items()}


async def test_settlements_sum_to_the_books(books: JobDatabase, tmp_path: Path) -> None:
    """Each posting is settled once; what the books owe a merchant then is what is carried."""
    await books.generate(2000)
    totals = await _settle(books, tmp_path)
    [captured] = await books.fetch(
        "SELECT sum(amount_captured) AS captured, sum(amount_refunded) AS back FROM payments"
    )
    assert sum(total.captured_minor for total in totals) == captured["captured"]
    assert sum(total.refunded_minor for total in totals) == captured["back"]
    fees = await books.fetch("SELECT amount_minor, fee_minor FROM settlement_items")
    assert all(row["fee_minor"] == (FEES.fee(row["amount_minor"]) if row["amount_minor"] > 0 else 0) for row in fees)
    assert sum(row["fee_minor"] for row in fees) == sum(total.fee_minor for total in totals)
    assert plain(await books.fetch(_PAYABLE)) == plain(await books.fetch(_CARRIED))
    [unsettled] = await books.fetch(
        "SELECT count(*) FROM payments WHERE (settlement_id IS NOT NULL) <> (amount_captured > 0)"
    )
    assert unsettled["count"] == 0
    paid = sum(int(row["amount_minor"]) for text in contents(tmp_path).values() for row in _payouts(text))
    assert paid == sum(total.payout_minor for total in totals) > 0
    assert {total.day for total in totals} == {FIRST + timedelta(days=number) for number in range(5)}


async def test_live_and_test_payouts_are_in_files_of_their_own(books: JobDatabase, tmp_path: Path) -> None:
    """Nobody pays out a test."""
    await books.generate(500)
    totals = await _settle(books, tmp_path, FIRST)
    for livemode, word in ((True, "live"), (False, "test")):
        path = tmp_path / f"payouts-2026-01-01-{word}.csv"
        paid = sum(int(row["amount_minor"]) for row in _payouts(path.read_bytes()))
        assert paid == sum(total.payout_minor for total in totals if total.livemode is livemode) > 0
        assert path.stat().st_mode & 0o077 == 0


async def test_a_repeat_changes_nothing(books: JobDatabase, tmp_path: Path) -> None:
    """It writes the same files, and tells the same of the day that was asked for."""
    await books.generate(500)
    totals = await _settle(books, tmp_path)
    state, files = await _state(books), contents(tmp_path)
    (tmp_path / "payouts-2026-01-05-test.csv").unlink()
    again = await _settle(books, tmp_path, date(2026, 1, 5))
    assert again == [total for total in totals if total.day == date(2026, 1, 5)]
    assert (await _state(books), contents(tmp_path)) == (state, files)


@pytest.mark.parametrize("phase", ["collecting", "marking"])
async def test_a_run_that_was_killed_is_finished_by_the_next(
    books: JobDatabase, twin: JobDatabase, tmp_path: Path, phase: str
) -> None:
    """With the same result as one that nobody killed, to the last byte."""
    await books.generate(1500, days=1)
    await twin.generate(1500, days=1)
    table = "settlement_items" if phase == "collecting" else "payments WHERE settlement_id IS NOT NULL"
    reached = f"SELECT (SELECT count(*) FROM {table}) > 20 AND (SELECT phase FROM settlement_days) = '{phase}'"
    await books.kill_once(
        reached, "settle", "--day", FIRST.isoformat(), "--output", str(tmp_path / "killed"), "--page", "2"
    )
    [half] = await books.fetch(f"SELECT (SELECT count(*) FROM {table}), (SELECT phase FROM settlement_days)")
    await _settle(books, tmp_path / "killed")
    await _settle(twin, tmp_path / "whole")
    state = await _state(books)
    assert (half["phase"], 20 < half["count"] < 1400) == (phase, True)
    assert state == await _state(twin)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


async def test_a_refund_after_settlement_reduces_the_next_payout(books: JobDatabase, tmp_path: Path) -> None:
    """What is more than the next day takes is carried on until it is covered."""
    await books.generate(40, merchants=MERCHANTS[:1], days=0.5)
    await _settle(books, tmp_path, FIRST)
    payment, amount = await _refundable(books)
    await _post(books, payment, "merchant_payable", "processor_receivable", amount, datetime(2026, 1, 8, tzinfo=UTC))
    [short] = await _settle_one(books, tmp_path, date(2026, 1, 8), payment)
    assert (short["payout_minor"], short["carried_out_minor"]) == (0, short["carried_in_minor"] - amount)
    later = datetime(2026, 1, 9, tzinfo=UTC)
    await _post(books, payment, "processor_receivable", "merchant_payable", 3 * amount + 5_000_000, later)
    [whole] = await _settle_one(books, tmp_path, date(2026, 1, 9), payment)
    assert whole["carried_in_minor"] == short["carried_out_minor"] < 0
    assert whole["payout_minor"] == 3 * amount + 5_000_000 - whole["fee_minor"] + short["carried_out_minor"]
    assert whole["carried_out_minor"] == 0


async def test_a_posting_that_comes_late_is_settled_the_next_day(books: JobDatabase, tmp_path: Path) -> None:
    """The day before stays as it was paid out."""
    await books.generate(40, merchants=MERCHANTS[:1], days=0.5)
    await _settle(books, tmp_path, FIRST)
    files = contents(tmp_path)
    before = await books.fetch("SELECT * FROM settlements ORDER BY id")
    payment, _ = await _refundable(books)
    late = datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)
    attempt = await _post(books, payment, "processor_receivable", "merchant_payable", 700, late)
    await _settle(books, tmp_path, date(2026, 1, 2))
    [item] = await books.fetch("SELECT settlement_id FROM settlement_items WHERE attempt_id = $1", attempt)
    [settled] = await books.fetch("SELECT day FROM settlements WHERE id = $1", item["settlement_id"])
    assert settled["day"] == date(2026, 1, 2)
    assert await books.fetch("SELECT * FROM settlements WHERE day = $1 ORDER BY id", FIRST) == before
    assert files.items() <= contents(tmp_path).items()


async def test_a_fee_schedule_holds_from_its_day_on(books: JobDatabase, tmp_path: Path) -> None:
    """For its merchant and currency; others pay the default."""
    await books.generate(600, days=2)
    await books.fetch("INSERT INTO fee_schedules VALUES ($1, 'USD', '2026-01-02', 100, 5)", MERCHANTS[0])
    await _settle(books, tmp_path)
    rows = await books.fetch(
        "SELECT item.merchant_id, amount_minor, item.fee_minor, day, currency FROM settlement_items AS item "
        "JOIN settlements ON settlements.id = settlement_id WHERE amount_minor > 0"
    )
    special = [row for row in rows if row["merchant_id"] == MERCHANTS[0] and row["currency"] == "USD"]
    special = [row for row in special if row["day"] > FIRST]
    assert special
    assert all(row["fee_minor"] == FeeSchedule(100, 5).fee(row["amount_minor"]) for row in special)
    assert all(row["fee_minor"] == FEES.fee(row["amount_minor"]) for row in rows if row not in special)


async def test_a_payment_tells_of_its_settlement(books: JobDatabase, tmp_path: Path) -> None:
    """Its version rises once; it is no event."""
    await books.generate(200, days=0.5)
    before = {row["id"]: row for row in await books.fetch("SELECT * FROM payments")}
    await _settle(books, tmp_path)
    for row in await books.fetch("SELECT * FROM payments"):
        old = before[row["id"]]
        if row["amount_captured"] == 0:
            assert row == old
            continue
        assert row["settlement_id"] == settlement_id(row["merchant_id"], row["livemode"], row["currency"], FIRST)
        assert (row["version"], row["sequence"]) == (old["version"] + 1, old["sequence"])
        assert row["updated_at"] > old["updated_at"]


async def test_a_day_that_is_not_over_is_not_settled(books: JobDatabase, tmp_path: Path) -> None:
    """Nor within two minutes after: it may still get postings."""
    await books.generate(20)
    clock = ManualClock(datetime(2026, 1, 2, 0, 1, 59, tzinfo=UTC))
    async with books.opened() as database:
        service = SettlementService(SettlementRepository(database), Changes(None), clock, FEES)
        with pytest.raises(DayNotOver):
            await service.settle_until(FIRST, tmp_path, books.meter)
        clock.advance(1)
        assert await service.settle_until(FIRST, tmp_path, books.meter)


async def test_one_job_runs_at_a_time(books: JobDatabase) -> None:
    """The lock is free once its holder is gone."""
    async with exclusive(books.url, "settle"):
        with pytest.raises(JobRunning):
            async with exclusive(books.url, "settle"):
                pass
        async with exclusive(books.url, "export"):
            pass
    connection_gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'easypay-job-settle'"
    async with asyncio.timeout(10):
        while (await books.fetch(connection_gone))[0]["count"]:
            pass
    async with exclusive(books.url, "settle"):
        pass


async def test_nothing_to_settle(books: JobDatabase, tmp_path: Path) -> None:
    """Files with a header alone."""
    assert await _settle(books, tmp_path, FIRST) == []
    assert {len(text.splitlines()) for text in contents(tmp_path).values()} == {1}


async def _refundable(books: JobDatabase) -> tuple[Any, int]:
    [row] = await books.fetch(
        "SELECT id, amount_captured FROM payments WHERE status = 'captured' AND NOT livemode ORDER BY id LIMIT 1"
    )
    return row["id"], row["amount_captured"]


async def _post(books: JobDatabase, payment: Any, debit: str, credit: str, amount: int, at: datetime) -> Any:
    attempt = new_id()
    assert await books.fetch(_INSERT, payment, attempt, debit, credit, amount, at)
    return attempt


async def _settle_one(books: JobDatabase, folder: Path, day: date, payment: Any) -> list[Any]:
    await _settle(books, folder, day)
    rows = await books.fetch(
        "SELECT settlements.* FROM settlements JOIN payments USING (merchant_id, livemode, currency) "
        "WHERE day = $1 AND payments.id = $2",
        day,
        payment,
    )
    assert public_id(Prefix.SETTLEMENT, rows[0]["id"]).startswith("set_")
    return rows
