"""A settlement while payments are cached: a real shard over its real channel, and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from pathlib import Path

from actors.runtime.clock import SystemClock
from serve_app.attempts.rows import PaymentKey
from serve_app.caching.changes import Changes
from serve_app.caching.reader import CachedReads
from serve_app.domain.settlement import FeeSchedule
from serve_app.payments.cached import CachedPayments
from serve_app.payments.repository import PageRequest, PaymentRepository
from serve_app.settlements.repository import SettlementRepository
from serve_app.settlements.service import SettlementService
from tests.integration.jobs.conftest import MERCHANTS, JobDatabase
from tests.support.local_caches import local_caches

_CONNECTED_WITHIN_S = 10.0
DAY = date(2026, 1, 1)


async def test_no_cached_copy_outlives_the_settlement(books: JobDatabase, tmp_path: Path) -> None:
    """A process that holds payments and lists near reads the settlement as soon as the job has acknowledged it.

    It goes on reading while the job runs: what it reads of a payment never goes back from settled.
    """
    await books.generate(120, merchants=MERCHANTS[:2], days=0.5)
    rows = await books.fetch("SELECT merchant_id, livemode, id, amount_captured FROM payments ORDER BY id")
    keys = [PaymentKey(row["merchant_id"], row["livemode"], row["id"]) for row in rows]
    captured = {row["id"]: row["amount_captured"] > 0 for row in rows}
    async with local_caches("replica", "job") as (replica, job), books.opened() as database:
        payments = CachedPayments(PaymentRepository(database), CachedReads(replica))
        # A shard that has just started serves once leases of one before it would have run out.
        async with asyncio.timeout(_CONNECTED_WITHIN_S):
            while not [await payments.find(key) for key in keys] or replica.counts["payment"].near_hits < len(keys):
                await asyncio.sleep(0.01)
        page = await payments.page(MERCHANTS[0], False, PageRequest(5))
        assert "set_" not in page.decode()
        service = SettlementService(
            SettlementRepository(database), Changes(job), SystemClock(), FeeSchedule(290, 30), mark_page=7
        )
        settling = asyncio.create_task(service.settle_until(DAY, tmp_path, books.meter))
        settled: set[PaymentKey] = set()
        while not settling.done():
            for key in keys:
                told = await _is_settled(payments, key)
                assert told or key not in settled
                if told:
                    settled.add(key)
            await asyncio.sleep(0)
        await settling
        for key in keys:
            if captured[key.payment_id]:
                assert await _is_settled(payments, key), key
        assert "set_" in (await payments.page(MERCHANTS[0], False, PageRequest(5))).decode()


async def _is_settled(payments: CachedPayments, key: PaymentKey) -> bool:
    found = await payments.find(key)
    assert found is not None
    return json.loads(found)["settlement"] is not None
