"""A shard is killed at random while processes record: what it acknowledged is applied, once and in order."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import tempfile
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator

import asyncpg
import pytest
import ray

from actors.cache.client import CacheClient
from actors.cache.port import ActorPort
from actors.runtime.errors import OutcomeUnknown, Overloaded, Unavailable
from actors.runtime.spec import create
from tests.chaos.mortal_shard import MODEL, TABLE, MortalShard, mortal_shard
from tests.support.postgres import TestPostgres
from tests.support.redis_servers import TestRedis
from tests.support.started import started

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.ray,
    pytest.mark.slow,
]

_KILLS = 20
_KEYS = 6
_PAUSE_MAX_S = 0.05
_SHARD = "cache-shard-0"
_DRAINED_WITHIN_S = 30.0


class Writer:
    """Records numbers under one key, some of them at once, and remembers how each ended."""

    def __init__(self, cache: CacheClient, key: str, draw: random.Random) -> None:
        self.key = f"{MODEL}:{key}"
        self.acknowledged: list[str] = []
        self.unknown: set[str] = set()
        self.refused = 0
        self._cache = cache
        self._draw = draw
        self._number = 0

    async def write(self, until: asyncio.Event) -> None:
        """Record until the event."""
        while not until.is_set():
            first, self._number = self._number, self._number + self._draw.randint(1, 4)
            await asyncio.gather(*(self._record(str(number)) for number in range(first, self._number)))
            # Some hundred a second, which the sink can keep up with.
            await asyncio.sleep(self._draw.uniform(0.0, _PAUSE_MAX_S))

    async def _record(self, payload: str) -> None:
        while True:
            try:
                await self._cache.record(self.key, payload.encode())
            except (Unavailable, Overloaded):
                # Nothing was done, so it may be repeated.
                self.refused += 1
                await asyncio.sleep(self._draw.uniform(0.0, 0.05))
            except OutcomeUnknown:
                self.unknown.add(payload)
                return
            else:
                self.acknowledged.append(payload)
                return


@pytest.fixture
def redis_server() -> Iterator[TestRedis]:
    """Run a Redis that lives through it all."""
    with started(TestRedis()) as server:
        yield server


@pytest.fixture
def namespace() -> Iterator[str]:
    """Run a Ray, in a folder whose path is short enough for a socket, and return a namespace of it."""
    folder = tempfile.mkdtemp(prefix="epr-", dir="/tmp")
    ray.init(num_cpus=2, include_dashboard=False, _temp_dir=folder, log_to_driver=False, configure_logging=False)
    try:
        yield f"test-{uuid.uuid4().hex[:8]}"
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


async def _kill(shard: MortalShard, writers: list[Writer], draw: random.Random) -> None:
    """Kill the shard's process again and again, each time a moment after it has acknowledged something."""
    killed: set[int] = set()
    while len(killed) < _KILLS:
        known = sum(len(writer.acknowledged) for writer in writers)
        while sum(len(writer.acknowledged) for writer in writers) == known:
            await asyncio.sleep(0.005)
        pid = await shard.pid()
        await asyncio.sleep(draw.uniform(0.0, 0.3))
        if pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)


async def _drained(cache: CacheClient) -> None:
    give_up = asyncio.get_running_loop().time() + _DRAINED_WITHIN_S
    while True:
        snapshot = (await cache.snapshots())[_SHARD]
        if snapshot is not None and snapshot.state.unapplied == 0 and not snapshot.state.journal_fault:
            return
        assert asyncio.get_running_loop().time() < give_up, f"not applied in time: {snapshot}"
        await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
async def test_what_a_killed_shard_acknowledged_is_applied_once_and_in_order(
    postgres: TestPostgres, redis_server: TestRedis, namespace: str
) -> None:
    """Twenty times by SIGKILL, under records of several keys. What nobody knows the outcome of is applied at most
    once."""
    seed = int(os.environ.get("EASYPAY_TEST_SEED", "0")) or random.SystemRandom().randint(1, 10**6)
    print(f"seed {seed} (repeat with EASYPAY_TEST_SEED)")
    draw = random.Random(seed)
    database = await asyncpg.connect(postgres.url())
    await database.execute(TABLE)
    await asyncio.to_thread(create, mortal_shard(_SHARD, postgres.url(), redis_server.url), namespace)
    cache = CacheClient(lambda name: ActorPort(name, namespace), "test", shards=[_SHARD])
    writers = [Writer(cache, f"key-{number}", random.Random(draw.random())) for number in range(_KEYS)]
    done = asyncio.Event()
    writing = [asyncio.create_task(writer.write(done)) for writer in writers]
    try:
        await _kill(MortalShard(_SHARD, namespace), writers, draw)
    finally:
        done.set()
        await asyncio.gather(*writing)
    await _drained(cache)
    await cache.close()
    rows = await database.fetch("SELECT name, payload FROM diary ORDER BY place")
    await database.close()
    _check(writers, [(row["name"], row["payload"]) for row in rows])


def _check(writers: list[Writer], rows: list[tuple[str, str]]) -> None:
    applied: defaultdict[str, list[str]] = defaultdict(list)
    for name, payload in rows:
        applied[name].append(payload)
    unknown = sum(len(writer.unknown) for writer in writers)
    happened = sum(len(writer.unknown & set(applied[writer.key])) for writer in writers)
    acknowledged = sum(len(writer.acknowledged) for writer in writers)
    refused = sum(writer.refused for writer in writers)
    print(f"{_KILLS} kills: {acknowledged} acknowledged, {unknown} of unknown outcome ({happened} applied), ", end="")
    print(f"{refused} refusals repeated, {len(rows)} applied")
    assert max(Counter(rows).values()) == 1
    for writer in writers:
        known = set(writer.acknowledged)
        assert [payload for payload in applied[writer.key] if payload in known] == writer.acknowledged
        assert set(applied[writer.key]) <= known | writer.unknown
    assert acknowledged > 20 * _KILLS
