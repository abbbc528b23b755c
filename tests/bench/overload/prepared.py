"""Payments that a part needs before it begins, taken through the API."""

from __future__ import annotations

import asyncio
import json
import uuid
from urllib.parse import urlsplit

from tests.bench.failure import BenchFailed
from tests.bench.overload.answer import Outcome
from tests.bench.overload.pool import Pool
from tests.bench.overload.stream import Merchant

TRIES_MAX = 20


def authorized_payments(merchant: Merchant, count: int, *, at_once: int) -> tuple[str, ...]:
    """Have so many payments whose money is held and not captured; return their ids. Raises BenchFailed."""
    return asyncio.run(_authorize(merchant, count, at_once))


async def _authorize(merchant: Merchant, count: int, at_once: int) -> tuple[str, ...]:
    address = urlsplit(merchant.url)
    assert address.hostname is not None
    assert address.port is not None
    pool = Pool(address.hostname, address.port, connections_max=at_once)
    requests = merchant.create(capture=False).each(uuid.uuid4().hex[:12])
    ids: list[str] = []
    wanted = iter(range(count))

    async def work() -> None:
        for _ in wanted:
            ids.append(await _one(pool, next(requests)))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except* BenchFailed as failures:
        raise failures.exceptions[0] from None
    finally:
        pool.close()
    return tuple(ids)


async def _one(pool: Pool, request: bytes) -> str:
    """Repeat a request with its key until it is done."""
    for _ in range(TRIES_MAX):
        outcome, answer, what = await pool.ask(request)
        if outcome is Outcome.GOOD and answer is not None:
            payment: str = json.loads(answer.body)["id"]
            return payment
        if outcome not in (Outcome.REFUSED, Outcome.PENDING) or answer is None:
            raise BenchFailed(f"a payment to prepare: {outcome} {answer.body[:500] if answer else what!r}")
        await asyncio.sleep(answer.retry_after_s or 1)
    raise BenchFailed(f"a payment to prepare was not taken in {TRIES_MAX} tries")
