"""Two clusters on one database, each with its own caches: no read goes back in time, whoever comes, goes or stalls."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime
from typing import Any

import pytest

from actors.cache.actor import CacheShardActor
from actors.cache.client import CacheClient, Loaded
from actors.cache.near import NearEntry
from actors.cache.shard import CacheShard
from actors.pool.clusters.keeper import ClusterKeeper
from actors.pool.clusters.membership import Member, Reign
from actors.pool.clusters.register import Decide
from actors.runtime.errors import Unavailable
from tests.support.cluster_table import ClusterTable
from tests.support.history import History
from tests.unit.cache.simulated_ring import SimulatedRing, plain_keeper
from tests.unit.cache.simulation import (
    FAULTS,
    SimulatedDatabase,
    SimulatedProcess,
    SimulatedShard,
    _fault,
    make_actor,
    make_process_client,
)
from tests.unit.cache.virtual_time import run_virtually

pytestmark = pytest.mark.no_cover

_BUDGET = 10
_CAUGHT_WITHIN = 12


class _Clock:
    """The loop's."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        raise AssertionError("nobody asks for the time of day")


class _Database(SimulatedDatabase):
    """The database as one cluster sees it: through connections, which another one may end."""

    def __init__(self, rows: dict[str, int], draw: random.Random, cluster: _Cluster) -> None:
        super().__init__(draw)
        self.versions = rows
        self._cluster = cluster

    async def load(self, key: str) -> Loaded:
        """Read a row, as soon as there is a connection."""
        while not self._cluster.connects():
            await asyncio.sleep(0.1)
        return await super().load(key)

    async def commit(self, *keys: str) -> list[int]:
        """Change rows; nothing is changed by a connection that was ended."""
        if not self._cluster.connects():
            raise Unavailable("the database", "no connection", 1.0)
        await self._travel()
        if not self._cluster.is_connected:
            raise Unavailable("the database", "the connection was ended", 1.0)
        for key in keys:
            self.versions[key] = self.versions.get(key, 1) + 1
        versions = [self.versions[key] for key in keys]
        await self._travel()
        return versions


class _Cluster:
    """One cluster with its shards, its processes and its manager, which may stall or die: `Register`, `Holdings`."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self._world = world
        self.is_connected = False
        self._leased = 0
        self._heard_until = 0.0
        self.stalled_until = 0.0
        self.keeper: ClusterKeeper | None = None
        self._beating: asyncio.Task[None] | None = None
        self.ring = SimulatedRing(2, self._make_shard, world.draw, plain_keeper)
        self.database = _Database(world.rows, world.draw, self)
        self.running: list[SimulatedProcess] = []

    def start(self) -> None:
        """Have a manager and two processes."""
        self.start_manager()
        self.running = [self.new_process() for _ in range(2)]

    def start_manager(self) -> None:
        self.keeper = ClusterKeeper(self.name, self, self, _Clock())
        self._beating = asyncio.get_running_loop().create_task(self.keeper.run())

    def kill_manager(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        self.keeper = None

    async def end(self, name: str) -> bool:
        """End the connections of another cluster."""
        await asyncio.sleep(self._world.draw.uniform(0, 0.3))
        self._world.clusters[name].is_connected = False
        return True

    async def go_down(self, *, signs_off: bool) -> None:
        """End everything."""
        self.kill_manager()
        for process in self.running:
            process.awake.set()
            await process.die()
        for place in self.ring.running():
            place.end()
        self.running = []
        self.is_connected = False
        if signs_off:
            self._world.table.sign_off(self.name)

    def connects(self) -> bool:
        """Say whether there is a connection, or one may be made by what the manager has said."""
        keeper = self.keeper
        now = asyncio.get_running_loop().time()
        if keeper is not None and keeper.is_known and now >= self.stalled_until:
            self._heard_until = now + keeper.rights_s() if keeper.share else 0.0
        self.is_connected |= now < self._heard_until
        return self.is_connected

    def new_process(self) -> SimulatedProcess:
        name = f"{self.name}-{len(self._world.everyone)}"
        process = SimulatedProcess(name, self.ring, self.database, self._world.make_client, self._world.draw)
        process.cache.start()
        self._world.everyone.append(process)
        return process

    async def ask_reign(self) -> Reign:
        """Ask the manager."""
        await asyncio.sleep(self._world.draw.uniform(0, 0.01))
        keeper = self.keeper
        if keeper is None or not keeper.is_known or asyncio.get_running_loop().time() < self.stalled_until:
            raise Unavailable("pool-manager", "does not answer", 1.0)
        reign = keeper.reign()
        await asyncio.sleep(self._world.draw.uniform(0, 0.01))
        return reign

    # The register

    async def beat(self, decide: Decide) -> list[Member]:
        while asyncio.get_running_loop().time() < self.stalled_until:
            await asyncio.sleep(0.1)
        await asyncio.sleep(self._world.draw.uniform(0, 0.05))
        members = self._world.table.beat(self.name, "life", decide)
        if self._world.draw.random() < 0.05:
            raise Unavailable("the table", "the answer was lost", 1.0)
        return members

    async def remove(self, member: Member) -> bool:
        return self._world.table.remove(member)

    async def close(self) -> None:
        return None

    # The connections

    def budget(self, clusters: int) -> int:
        return _BUDGET

    def limit(self, share: int) -> None:
        self._leased = share
        if not share:
            self.is_connected = False

    def out(self) -> tuple[int, bool]:
        return self._leased, True

    def forget(self) -> None:
        self._leased, self.is_connected, self._heard_until = 0, False, 0.0

    def _make_shard(self, place: SimulatedShard) -> CacheShardActor:
        actor = make_actor(self._world.shard_actor, place, self.ask_reign)
        actor.shard_class = self._world.shard_class
        return actor


class World:
    """The database, its table of clusters, and two clusters."""

    def __init__(
        self,
        seed: int,
        shard_class: type[CacheShard],
        shard_actor: type[CacheShardActor],
        client: type[CacheClient],
    ) -> None:
        self.draw = random.Random(seed)
        self.rows: dict[str, int] = {}
        self.table = ClusterTable(asyncio.get_running_loop().time)
        self.shard_class = shard_class
        self.shard_actor = shard_actor
        self.make_client = lambda process: make_process_client(client, process)
        self.everyone: list[SimulatedProcess] = []
        self.clusters = {name: _Cluster(name, self) for name in "ab"}


async def simulate_two(
    seed: int,
    *,
    shard_class: type[CacheShard] = CacheShard,
    shard_actor: type[CacheShardActor] = CacheShardActor,
    client: type[CacheClient] = CacheClient,
    seconds: float = 60.0,
    keys: int = 6,
    faults: bool = True,
) -> tuple[History, World]:
    """Let two clusters live: the second comes and goes, managers stall and die, shards and processes too."""
    random.seed(seed)
    world, history, loop = World(seed, shard_class, shard_actor, client), History(), asyncio.get_running_loop()
    draw = world.draw
    for cluster in world.clusters.values():
        cluster.start()
    end, next_fault, next_move = loop.time() + seconds, loop.time() + 12, loop.time() + 20
    while loop.time() < end:
        await asyncio.sleep(draw.expovariate(1 / 0.01))
        up = [cluster for cluster in world.clusters.values() if cluster.running]
        if up:
            _work(draw, draw.choice(draw.choice(up).running), keys, history)
        if up and faults and loop.time() > next_fault:
            next_fault = loop.time() + draw.uniform(1, 6)
            await _suffer(draw, draw.choice(up))
        if loop.time() > next_move:
            next_move = loop.time() + draw.uniform(8, 25)
            await _come_or_go(draw, world)
    for cluster in world.clusters.values():
        await cluster.go_down(signs_off=True)
    return history, world


def _work(draw: random.Random, process: SimulatedProcess, keys: int, history: History) -> None:
    key = f"payment:{draw.randrange(keys)}"
    tag = f"merchant:{key[-1] in '012'}"
    kind = draw.random()
    if kind < 0.06:
        process.start(process.write(key, tag, history))
    elif kind < 0.3:
        process.start(process.list(tag, history))
    else:
        process.start(process.read(key, history))


async def _suffer(draw: random.Random, cluster: _Cluster) -> None:
    loop = asyncio.get_running_loop()
    match draw.choice(("stall", "manager", "other", "other")):
        case "stall":
            cluster.stalled_until = loop.time() + draw.uniform(1, 14)
        case "manager":
            cluster.kill_manager()
            away_s = draw.choice((0.1, 3.0, 9.0, 13.0))
            loop.call_later(away_s, lambda: cluster.start_manager() if cluster.running and not cluster.keeper else None)
        case _:
            await _fault(draw.choice(FAULTS), draw, cluster.ring.running(), cluster.running, cluster.new_process)


async def _come_or_go(draw: random.Random, world: World) -> None:
    cluster = draw.choice(list(world.clusters.values()))
    if cluster.running:
        if all(each.running for each in world.clusters.values()):
            await cluster.go_down(signs_off=draw.random() < 0.5)
        return
    for place in (cluster.ring.place(name) for name in ("cache-shard-0", "cache-shard-1")):
        place.run()
    cluster.start()


@pytest.mark.parametrize("keys", [6, 60])
@pytest.mark.parametrize("seed", range(1, 6))
def test_no_read_goes_back_in_time(seed: int, keys: int) -> None:
    """A minute of reads and writes through both."""
    history, _ = run_virtually(simulate_two(seed, keys=keys))
    assert history.violations() == []
    assert history.read_count > 1_000


def test_caches_are_served_in_it() -> None:
    """While a cluster is alone; and reads are passed by while it is not."""
    _, world = run_virtually(simulate_two(3))
    counts = [process.cache.counts["payment"] for process in world.everyone if "payment" in process.cache.counts]
    assert sum(each.near_hits for each in counts) > 100
    assert sum(each.bypasses.get("shared", 0) for each in counts) > 100


class _Serves(CacheShard):
    """Serves whoever else is there."""

    def _read(self, reader, want, now):  # type: ignore[no-untyped-def]
        self._reign_until, until = 1e9, self._reign_until
        try:
            return super()._read(reader, want, now)
        finally:
            self._reign_until = until


class _KeepsValues(CacheShard):
    """Goes on with what it had before another cluster came."""

    def abdicate(self) -> None:
        values, self._values = self._values, type(self._values)(1_000_000)
        super().abdicate()
        self._values = values


class _StaysInRedis(CacheShardActor):
    """Reads what Redis has of the reign before."""

    async def _follow_reign(self, shard: CacheShard, number: int | None) -> None:
        second, self._second = self._second, None
        try:
            await super()._follow_reign(shard, number)
        finally:
            self._second = second


class _HoldsOn(CacheClient):
    """Serves what it holds near for as long as the session lasts."""

    def _keep(self, session, key, answer, value, version, ttl_s):  # type: ignore[no-untyped-def]
        if session.is_current(key, answer.sequence):
            self._near.keep(key, _Lasting(value, version, self._clock() + ttl_s, session, answer.hold))


class _Lasting(NearEntry):
    def is_current(self, now: float) -> bool:
        return self.session.valid_until > now and self.expires_at > now


@pytest.mark.parametrize(
    "broken",
    [{"shard_class": _Serves}, {"shard_class": _KeepsValues}, {"shard_actor": _StaysInRedis}, {"client": _HoldsOn}],
    ids=["serves", "keeps values", "stays in Redis", "holds on"],
)
def test_each_broken_variant_is_caught(broken: dict[str, Any]) -> None:
    """Within a few histories."""
    for seed in range(1, _CAUGHT_WITHIN + 1):
        # They show where nothing else is wrong, too.
        history, _ = run_virtually(simulate_two(seed, keys=60, seconds=120, faults=seed % 2 == 0, **broken))
        if history.violations():
            return
    pytest.fail("no history shows it")
