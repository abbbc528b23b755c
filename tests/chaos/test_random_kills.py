"""Fifty clients pay while processes are killed at random: both ledgers agree to the last minor unit."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import aiohttp
import asyncpg
import pytest

from tests.chaos.killer import POOL_MANAGER, REPLICA, TASK_SCHEDULER, TASK_WORKER, Killer
from tests.chaos.seeds import printed_seed
from tests.chaos.shopper import Shopper, Told
from tests.e2e.gateway import RunningGateway
from tests.support.acquirer import AcquirerProcess
from tests.support.books import compare

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.parametrize("kind", ["acquirer"], indirect=True, scope="package"),
]

_SECONDS = float(os.environ.get("EASYPAY_TEST_SECONDS", "20"))
_CLIENTS = 50
_KILL_EVERY_S = 2.0
_KILLS = int(_SECONDS / _KILL_EVERY_S)
_KINDS = (REPLICA, POOL_MANAGER, TASK_SCHEDULER, TASK_WORKER)
_FINAL_WITHIN_S = 30.0
_OPEN = "SELECT count(*) FROM attempts WHERE state IN ('started', 'unknown')"


async def _kill(killer: Killer, database: asyncpg.Connection, until: float) -> Counter[str]:
    """Kill about every two seconds, each kind in turn, and as often as promised; print what was open at each."""
    kills: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    kinds: list[str] = []
    while loop.time() < until or kills.total() < _KILLS:
        kinds = kinds or random.sample(_KINDS, len(_KINDS))
        killed = await asyncio.to_thread(killer.kill_one, kinds.pop())
        if killed is not None:
            kills[killed] += 1
            print(f"kill {kills.total()}: {killed}, open attempts: {await database.fetchval(_OPEN)}")
        await asyncio.sleep(_KILL_EVERY_S * random.uniform(0.5, 1.2))
    return kills


async def _wait_until_final(database: asyncpg.Connection) -> None:
    async with asyncio.timeout(_FINAL_WITHIN_S):
        while await database.fetchval(_OPEN):
            await asyncio.sleep(0.2)


async def _check_acknowledged(database: asyncpg.Connection, told: Told) -> None:
    """Fail unless what clients were told is what is stored."""
    rows = await database.fetch("SELECT id, amount_captured, amount_refunded FROM payments")
    stored = {f"pay_{row['id'].hex}": row for row in rows}
    for payment_id, captured in told.captured.items():
        assert stored[payment_id]["amount_captured"] == captured
        assert stored[payment_id]["amount_refunded"] == told.refunded[payment_id]


async def _run(gateway: RunningGateway, acquirer: AcquirerProcess, seed: int) -> None:
    told = Told()
    database = await asyncpg.connect(gateway.facts["database_url"])
    headers = {"Authorization": f"Bearer {gateway.api_key}"}
    timeout = aiohttp.ClientTimeout(total=35)
    async with aiohttp.ClientSession(gateway.url, headers=headers, timeout=timeout) as http:
        until = asyncio.get_running_loop().time() + _SECONDS
        shoppers = [Shopper(http, seed * 1000 + index, told).shop(until) for index in range(_CLIENTS)]
        killing = asyncio.create_task(_kill(Killer(gateway.data_dir, seed), database, until))
        await asyncio.gather(*shoppers)
        kills = await killing
    await _wait_until_final(database)
    print(f"kills {dict(kills)}, answers {dict(told.answers)}, payments acknowledged {len(told.captured)}")
    print(await compare(gateway.facts["database_url"], acquirer))
    await _check_acknowledged(database, told)
    keys = await database.fetchrow(
        "SELECT count(*) AS keys, count(DISTINCT attempt_id) AS attempts FROM idempotency_keys"
    )
    assert keys["keys"] == keys["attempts"]
    assert kills.total() >= _KILLS
    assert set(kills) == set(_KINDS)
    await database.close()


@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nobody_is_charged_twice(gateway: RunningGateway, acquirer: AcquirerProcess) -> None:
    """At 200 ms a charge, with replicas, the pool manager and what runs tasks killed at random; the seed is printed."""
    seed = printed_seed()
    random.seed(seed)
    asyncio.run(_run(gateway, acquirer, seed))
