"""Redis is away for a while under load: reads and changes go on, and nobody is told of it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import pytest

from tests.chaos.cache_state import CacheState
from tests.chaos.clients import client_of, pay
from tests.chaos.latencies import changes_between, describe
from tests.chaos.reader import Reader
from tests.chaos.redis_beneath import RedisBeneath
from tests.chaos.seeds import printed_seed
from tests.chaos.writer import Order, Writer
from tests.e2e.gateway import RunningGateway, logged_incidents
from tests.support.history import History

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.slow]

_AWAY_S = float(os.environ.get("EASYPAY_TEST_SECONDS", "10"))
_BEFORE_S, _AFTER_S = 3.0, 4.0
_PAYMENTS, _READERS, _WRITERS = 40, 16, 8
_CHANGES_PER_S_MIN = 2
_CHANGE_MAX_S = 2.0
"""A change waits for Redis once, for a quarter of a second; the rest is for a machine that does other things too."""
_USED_WITHIN_S = 15.0


async def _run(gateway: RunningGateway, redis: RedisBeneath, seed: int) -> None:
    loop = asyncio.get_running_loop()
    history = History()
    async with client_of(gateway) as http, client_of(gateway) as writing:
        state = CacheState(writing, str(gateway.facts["admin_key"]))
        await state.until_redis_is_used(_USED_WITHIN_S)
        paid = [await pay(http, capture=number % 2 == 0) for number in range(_PAYMENTS)]
        orders = [Order(payment["id"], payment["status"] == "captured") for payment in paid]
        names = [order.payment_id for order in orders]
        readers = [Reader(http, f"reader {index}", seed * 1000 + index, history) for index in range(_READERS)]
        writers = [Writer(writing, f"writer {index}", seed * 1000 - index, history) for index in range(_WRITERS)]
        began = loop.time()
        until = began + _BEFORE_S + _AWAY_S + _AFTER_S
        done = asyncio.Event()
        loop.call_at(until, done.set)
        async with asyncio.TaskGroup() as tasks:
            for reader in readers:
                tasks.create_task(reader.read_all(names, done))
            for writer in writers:
                tasks.create_task(writer.write_all(orders, done))
            await asyncio.sleep(_BEFORE_S)
            away_at = loop.time()
            await redis.take_away()
            try:
                await asyncio.sleep(_AWAY_S)
                shards = await state.shards()
            finally:
                back_at = loop.time()
                await redis.bring_back()
            used_s = await state.until_redis_is_used(_USED_WITHIN_S)
    failures = [failure for reader in readers for failure in reader.failures]
    answers = sum((writer.answers for writer in writers), Counter())
    violations = history.violations()
    meanwhile = changes_between(history, [(away_at, back_at)])
    print(f"changes before {describe(changes_between(history, [(began, away_at)]))}")
    print(f"changes in {back_at - away_at:.1f} s without Redis {describe(meanwhile)}")
    print(f"changes after {describe(changes_between(history, [(back_at, until)]))}; Redis is used {used_s:.1f} s after")
    print(f"{history.read_count} reads, {len(failures)} failed, {len(violations)} violations, answers {dict(answers)}")
    # Shards that have nothing to ask of it, since what they hold changes all the time, do not notice.
    assert [shard["unapplied"] for shard in shards.values()] == [None] * len(shards), "it does not tell of its journals"
    assert violations == []
    assert failures == [], logged_incidents(gateway.data_dir)
    assert [each for writer in writers for each in writer.unexpected] == [], logged_incidents(gateway.data_dir)
    assert [each for writer in writers for each in writer.refused] == []
    assert set(answers) <= {"200", "201"}
    assert len(meanwhile) >= _AWAY_S * _CHANGES_PER_S_MIN
    assert max(seen.ended - seen.began for seen in meanwhile) < _CHANGE_MAX_S


@pytest.mark.timeout(300)
def test_reads_and_changes_go_on_without_redis(gateway: RunningGateway, redis: RedisBeneath) -> None:
    """The embedded one stands still, of a cluster all nodes are dead; when it is back the shards use it again."""
    asyncio.run(_run(gateway, redis, printed_seed()))
