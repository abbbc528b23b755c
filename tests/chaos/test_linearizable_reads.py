"""No read of a payment goes back in time, through whichever process and whatever dies, on a real gateway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession

from cluster.data_dir import DataDir
from cluster.settings import SETTINGS_FILE_VARIABLE
from serve_app.domain.ids import Prefix, new_id, parse_id, public_id
from tests.chaos.cache_state import CacheState
from tests.chaos.clients import client_of, pay
from tests.chaos.faults import Faults
from tests.chaos.latencies import changes_between, describe
from tests.chaos.near_reads import NearReads
from tests.chaos.reader import Failure, Reader
from tests.chaos.redis_beneath import RedisBeneath
from tests.chaos.replicas import replica_urls
from tests.chaos.seeds import printed_seed
from tests.chaos.shards import Shards
from tests.chaos.writer import AMOUNT, Order, Writer
from tests.e2e.gateway import RunningGateway, logged_incidents
from tests.support.history import History, Seen

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.slow]

_SECONDS = float(os.environ.get("EASYPAY_TEST_SECONDS", "20"))
_PAYMENTS, _READERS, _WRITERS = 40, 32, 8
_IS_FULL = _SECONDS >= 60
_READS_MIN = 50_000 if _IS_FULL else 2_000
"""What a full run is asked for. A short one depends on the machine: it only has to have read at all."""
_NEAR_SHARE_MIN = 0.8
_COUNTED_MIN = 0.25
"""What was counted just before a process or a shard was killed is lost with it; some must be left to judge by."""
_LOST_WITHIN_S = 2.0
"""So long after the death of a replica the ingress may still send it requests."""
_REDIS_USED_WITHIN_S = 15.0
_MISSES = 1000
_READY_WITHIN_S = 20.0
_LOADS = "SELECT coalesce(sum(calls), 0), coalesce(sum(rows), 0) FROM pg_stat_statements WHERE query LIKE $1"
_FIND_PAYMENTS = "SELECT input.ordinal::int, payments.*%"
_COPY = """
INSERT INTO payments
SELECT copy.* FROM payments, jsonb_populate_record(payments, jsonb_build_object('id', $2::uuid)) AS copy
WHERE payments.id = $1
"""

_any_redis = pytest.mark.parametrize(
    "kind", ["embedded", "cluster"] if _IS_FULL else ["cluster"], indirect=True, scope="package"
)
"""What hardly touches Redis runs on one kind of it, unless it is to be a full run."""


@asynccontextmanager
async def _database(gateway: RunningGateway) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(gateway.facts["database_url"])
    try:
        yield connection
    finally:
        await connection.close()


def _unexcused(failures: list[Failure], faults: Faults) -> list[Failure]:
    """Return the failed reads but those that a replica took with it, which a client repeats on a new connection."""
    return [
        failure
        for failure in failures
        if not failure.is_lost
        or not any(failure.began - _LOST_WITHIN_S < at < failure.ended for at in faults.replicas_killed_at)
    ]


async def _read_each_at(gateway: RunningGateway, url: str, payments: list[str], history: History) -> list[Failure]:
    """Read payments at once through one replica; return the reads that failed."""
    async with client_of(gateway, url) as http:
        reader = Reader(http, f"visitor of {url}", 0, history)
        await asyncio.gather(*(reader.read(payment) for payment in payments))
        return reader.failures


async def _read_and_write(gateway: RunningGateway, redis: RedisBeneath, seed: int) -> None:
    loop = asyncio.get_running_loop()
    history = History()
    async with client_of(gateway) as http, client_of(gateway) as writing, asyncio.TaskGroup() as tasks:
        paid = [await pay(http, capture=number % 2 == 0) for number in range(_PAYMENTS)]
        orders = [Order(payment["id"], payment["status"] == "captured") for payment in paid]
        names = [order.payment_id for order in orders]
        visits: list[asyncio.Task[list[Failure]]] = []
        faults = Faults(
            gateway.data_dir,
            redis,
            seed,
            lambda url: visits.append(tasks.create_task(_read_each_at(gateway, url, names, history))),
        )
        readers = [Reader(http, f"reader {index}", seed * 1000 + index, history) for index in range(_READERS)]
        writers = [Writer(writing, f"writer {index}", seed * 1000 - index, history) for index in range(_WRITERS)]
        near = NearReads(writing, str(gateway.facts["admin_key"]))
        done = asyncio.Event()

        def read_count() -> int:
            return sum(len(history.reads[name]) for name in names)

        async def suffer() -> None:
            try:
                await faults.suffer(loop.time() + _SECONDS, lambda: read_count() >= _READS_MIN)
            finally:
                done.set()

        await asyncio.gather(near.watch(done), suffer(), _read_and_write_all(readers, writers, orders, done))
        until = loop.time()
        await _until_a_shard_has_started_again(near)
        back_s = await CacheState(writing, str(gateway.facts["admin_key"])).until_redis_is_used(_REDIS_USED_WITHIN_S)
    reads = read_count()
    answers = sum((writer.answers for writer in writers), Counter())
    failures = [failure for reader in readers for failure in reader.failures]
    failures += [failure for visit in visits for failure in visit.result()]
    violations = history.violations()
    print(f"{reads} reads, {len(violations)} violations", *violations[:10], sep="\n")
    print(f"near {near.share:.1%} of {near.reads} counted reads: {json.dumps(near.counts)}")
    print(f"changes {describe(changes_between(history, [(0.0, until)]))}; Redis is used {back_s:.1f} s after the last")
    print(f"changes while Redis was away {describe(changes_between(history, faults.redis_away))}")
    print(f"writes {dict(answers)}, reads lost {len(failures)}, faults {dict(faults.counts)}")
    assert violations == []
    assert _unexcused(failures, faults) == [], logged_incidents(gateway.data_dir)
    assert [each for writer in writers for each in writer.unexpected] == [], logged_incidents(gateway.data_dir)
    assert near.reads >= reads * _COUNTED_MIN
    assert near.share >= _NEAR_SHARE_MIN


async def _until_a_shard_has_started_again(near: NearReads) -> None:
    """The last fault may have been its death."""
    async with asyncio.timeout(_READY_WITHIN_S):
        while not near.resets:
            await near.look()
            await asyncio.sleep(0.1)


async def _read_and_write_all(
    readers: list[Reader], writers: list[Writer], orders: list[Order], done: asyncio.Event
) -> None:
    names = [order.payment_id for order in orders]
    await asyncio.gather(
        *(reader.read_all(names, done) for reader in readers),
        *(writer.write_all(orders, done) for writer in writers),
    )


async def _change_shards(gateway: RunningGateway, seed: int) -> None:
    history = History()
    async with client_of(gateway) as http, Shards(gateway) as shards, asyncio.TaskGroup() as tasks:
        paid = [await pay(http, capture=number % 2 == 0) for number in range(_PAYMENTS)]
        orders = [Order(payment["id"], payment["status"] == "captured") for payment in paid]
        readers = [Reader(http, f"reader {index}", seed * 1000 + index, history) for index in range(_READERS // 2)]
        writers = [Writer(http, f"writer {index}", seed * 1000 - index, history) for index in range(_WRITERS // 2)]
        done = asyncio.Event()
        tasks.create_task(_read_and_write_all(readers, writers, orders, done))
        try:
            before = await shards.settled()
            for count in (3, 1, 2):
                await shards.change(count)
            refused = sum(writer.answers["503"] for writer in writers)
            # Another keeper goes on, after the time that its process takes to start: changes may be refused meanwhile.
            await shards.change(1, kill_keeper=True)
            after = await shards.change(2)
            served = await shards.until_all_serve(2)
        finally:
            done.set()
    answers = sum((writer.answers for writer in writers), Counter())
    violations = history.violations()
    reads = sum(len(history.reads[order.payment_id]) for order in orders)
    print(f"{reads} reads, {len(violations)} violations, writes {dict(answers)}", *violations[:10], sep="\n")
    assert violations == []
    assert [failure for reader in readers for failure in reader.failures] == [], logged_incidents(gateway.data_dir)
    assert [each for writer in writers for each in writer.unexpected] == [], logged_incidents(gateway.data_dir)
    assert refused == answers["lost"] == 0
    assert after["version"] == before["version"] + 5
    assert served == ["cache-shard-0", "cache-shard-1"]
    assert reads > 300


async def _until_near(readers: list[Reader], payment_id: str, database: asyncpg.Connection) -> None:
    """Return when each replica has a payment from its cache: a shard serves nothing in its first two seconds."""
    async with asyncio.timeout(_READY_WITHIN_S):
        while True:
            before = await _loads(database)
            for reader in readers:
                await reader.read(payment_id)
            if await _loads(database) == before:
                return
            await asyncio.sleep(0.1)


async def _loads(database: asyncpg.Connection) -> tuple[int, int]:
    """Return how often payments were loaded by id, and how many were."""
    calls, rows = await database.fetchrow(_LOADS, _FIND_PAYMENTS)
    return int(calls), int(rows)


@asynccontextmanager
async def _replicas(gateway: RunningGateway, history: History) -> AsyncIterator[list[tuple[Reader, ClientSession]]]:
    """Give a reader and a client of each replica."""
    urls = replica_urls(gateway.data_dir)
    assert len(urls) == 2
    async with AsyncExitStack() as clients:
        opened = [await clients.enter_async_context(client_of(gateway, url)) for url in urls.values()]
        yield [
            (Reader(client, f"replica {pid}", pid, history), client) for pid, client in zip(urls, opened, strict=True)
        ]


async def _miss_together(gateway: RunningGateway) -> None:
    async with _replicas(gateway, History()) as replicas, _database(gateway) as database:
        payment_id = str((await pay(replicas[0][1], capture=True))["id"])
        await _until_near([reader for reader, _ in replicas], payment_id, database)
        stored, copied = parse_id(Prefix.PAYMENT, payment_id), new_id()
        assert await database.execute(_COPY, stored, copied) == "INSERT 0 1"
        copy = public_id(Prefix.PAYMENT, copied)
        calls, rows = await _loads(database)
        versions = await asyncio.gather(*(replicas[number % 2][0].read(copy) for number in range(_MISSES)))
        assert set(versions) == {2}, [reader.failures[:1] for reader, _ in replicas]
        assert await _loads(database) == (calls + 1, rows + 1)


async def _replay_after_a_death(gateway: RunningGateway) -> None:
    history = History()
    async with _replicas(gateway, history) as replicas, _database(gateway) as database:
        readers = [reader for reader, _ in replicas]
        for _, client in replicas:
            payment = await pay(client, capture=False)
            await _until_near(readers, payment["id"], database)
            key, done = uuid.uuid4().hex, asyncio.Event()
            async with asyncio.TaskGroup() as reading:
                for reader in readers:
                    reading.create_task(_read_until(reader, payment["id"], done))
                await asyncio.to_thread(_capture_and_die, gateway, payment, key)
                version = await _replayed(client, payment["id"], key, history)
                assert [await reader.read(payment["id"]) for reader in readers] == [version] * len(readers)
                done.set()
    print(f"{history.read_count} reads")
    assert history.violations() == []
    assert [failure for reader in readers for failure in reader.failures] == []


async def _read_until(reader: Reader, payment_id: str, until: asyncio.Event) -> None:
    while not until.is_set():
        await reader.read(payment_id)
        await asyncio.sleep(0.001)


async def _replayed(http: ClientSession, payment_id: str, key: str, history: History) -> int:
    """Repeat the capture with its key, and return the version that the answer tells of."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    path = f"/v1/payments/{payment_id}/capture"
    async with http.post(path, json={"amount": AMOUNT}, headers={"Idempotency-Key": key}) as answer:
        payment = await answer.json()
        assert answer.status == 200, payment
        assert answer.headers["Idempotent-Replayed"] == "true"
    history.writes[payment_id].append(Seen(began, loop.time(), payment["version"], "replay"))
    return int(payment["version"])


def _capture_and_die(gateway: RunningGateway, payment: dict[str, Any], key: str) -> None:
    """Have another process of the gateway commit a capture and die before it tells the cache."""
    merchant, payment_id = parse_id(Prefix.MERCHANT, payment["merchant"]), parse_id(Prefix.PAYMENT, payment["id"])
    plan = {"merchant": str(merchant), "payment": str(payment_id), "amount": str(AMOUNT), "key": key}
    environment = {
        "RAY_ADDRESS": gateway.facts["ray_address"],
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": gateway.facts["ray_token_file"],
        SETTINGS_FILE_VARIABLE: str(DataDir(gateway.data_dir).settings_file),
    }
    died = subprocess.run(
        [sys.executable, "-m", "tests.chaos.crashing_writer", json.dumps(plan)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


@_any_redis
@pytest.mark.timeout(240)
def test_a_thousand_misses_are_one_load(gateway: RunningGateway) -> None:
    """A payment that no cache has heard of is read a thousand times at once through two replicas, and loaded once."""
    asyncio.run(_miss_together(gateway))


@_any_redis
@pytest.mark.timeout(240)
def test_a_commit_whose_writer_died_before_it_told_the_cache_is_seen_once_it_is_answered(
    gateway: RunningGateway,
) -> None:
    """The key is repeated through another process, and what it is answered with every replica then shows."""
    asyncio.run(_replay_after_a_death(gateway))


@_any_redis
@pytest.mark.timeout(240)
def test_no_read_goes_back_in_time_while_shards_come_and_go(gateway: RunningGateway) -> None:
    """The cache grows to three shards, shrinks to one and is two again under reads and writes, of which none fails.

    The last but one change loses its keeper in the middle, and ends all the same."""
    asyncio.run(_change_shards(gateway, printed_seed()))


@pytest.mark.timeout(400)
def test_no_read_goes_back_in_time(gateway: RunningGateway, redis: RedisBeneath) -> None:
    """Random writes and reads while shards, replicas and Redis are killed and replicas stall; the seed is printed.

    Of a Redis Cluster a node is killed, and started again some seconds later."""
    asyncio.run(_read_and_write(gateway, redis, printed_seed()))
