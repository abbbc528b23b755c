"""No read goes back in time while shards come and go, and the checker catches each way to get that wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from actors.cache.actor import CacheShardActor
from actors.cache.shard import CacheShard
from actors.cache.sharding.keeper import RingKeeper
from actors.cache.sharding.stored import StoredRing
from tests.unit.cache.simulated_ring import MakeKeeper, SimulatedRing, plain_keeper
from tests.unit.cache.simulation import MakeShard, SimulatedShard, make_actor, plain_shard, simulate
from tests.unit.cache.virtual_time import run_virtually

# Measuring which lines run takes longer than running them; what runs here has unit tests of its own.
pytestmark = pytest.mark.no_cover

_CAUGHT_WITHIN = 12
"""So many histories are enough for each broken variant to show."""


@pytest.mark.parametrize("keys", [6, 60])
@pytest.mark.parametrize("seed", range(1, 5))
def test_no_read_goes_back_in_time_while_shards_come_and_go(seed: int, keys: int) -> None:
    """A minute with a change of the ring every few seconds, while shards, processes and the keeper of the ring die."""
    versions: list[int] = []

    def make_keeper(ring: SimulatedRing) -> RingKeeper:
        return _Counting(ring, versions)

    history, processes = run_virtually(simulate(seed, keys=keys, make_keeper=make_keeper))
    assert history.violations() == []
    assert history.read_count > 5_000
    assert len(set(versions)) > 5
    assert sum(counts.hits for process in processes for counts in process.cache.counts.values()) > 100


class _Counting(RingKeeper):
    """Notes each version of the ring."""

    def __init__(self, ring: SimulatedRing, versions: list[int]) -> None:
        super().__init__(ring.rings, ring.member)
        self._versions = versions

    def _note(self, stored: StoredRing) -> StoredRing:
        self._versions.append(stored.version)
        return super()._note(stored)


def test_every_process_follows() -> None:
    """A while after the last change each has a session with every shard of the ring, and routes to no other."""
    assert run_virtually(_followed()) == [True, True, True]


async def _followed() -> list[bool]:
    _, processes = await simulate(1, faults=(), make_keeper=plain_keeper, seconds=20)
    now = asyncio.get_running_loop().time()
    return [
        tuple(link.name for link in process.cache._routes.links) == process.ring.rings.stored.current.shards
        and all(link.current(now) is not None for link in process.cache._routes.links)
        for process in processes
    ]


def _soon(ring: SimulatedRing) -> RingKeeper:
    """The new owners serve before the leases that the old ones gave have run out."""
    return RingKeeper(ring.rings, ring.member, lease_s=0.0)


class _Impatient(RingKeeper):
    """Passes over a shard that cannot be reached."""

    async def _until_retired(self, name: str, stored: StoredRing) -> None:
        await self._answer(name, stored, lambda _: True)


def _impatient(ring: SimulatedRing) -> RingKeeper:
    return _Impatient(ring.rings, ring.member)


class _KeepsAll(CacheShard):
    """Keeps what moves away, and serves it when it comes back."""

    def retire(self, owns: Callable[[str], bool]) -> None:
        super().retire(lambda _: True)


class _StaysInRedis(CacheShardActor):
    """Finds in Redis what moved away and came back."""

    async def follow(self, stored: StoredRing) -> int:
        second, self._second = self._second, None
        try:
            return await super().follow(stored)
        finally:
            self._second = second


class _GoesOn(CacheShard):
    """Drops what moves away, and goes on with the sessions that it has."""

    def retire(self, owns: Callable[[str], bool]) -> None:
        expire, self._expire = self._expire, lambda _: None  # type: ignore[assignment, method-assign]
        super().retire(owns)
        self._expire = expire  # type: ignore[method-assign]


def _shard(kind: type[CacheShard]) -> MakeShard:
    class Actor(CacheShardActor):
        shard_class = kind

    return lambda place: make_actor(Actor, place)


def _stays_in_redis(place: SimulatedShard) -> CacheShardActor:
    return make_actor(_StaysInRedis, place)


@pytest.mark.parametrize(
    ("make_shard", "make_keeper"),
    [
        (plain_shard, _soon),
        (plain_shard, _impatient),
        (_shard(_KeepsAll), plain_keeper),
        (_shard(_GoesOn), plain_keeper),
        (_stays_in_redis, plain_keeper),
    ],
    ids=[
        "new owners serve too soon", "a shard is passed over", "keeps what moves away", "sessions go on",
        "what moved away stays in Redis",
    ],
)  # fmt: skip
def test_each_broken_variant_is_caught(make_shard: MakeShard, make_keeper: MakeKeeper) -> None:
    """Each rule of a change of the ring is needed: without it, some read of some history goes back in time."""
    assert any(_is_caught(seed, make_shard, make_keeper) for seed in range(1, _CAUGHT_WITHIN + 1))


def _is_caught(seed: int, make_shard: MakeShard, make_keeper: MakeKeeper) -> bool:
    # Few keys change often, many keep what Redis has for longer.
    keys = 6 if seed % 2 else 60
    history, _ = run_virtually(simulate(seed, make_shard=make_shard, make_keeper=make_keeper, keys=keys))
    return bool(history.violations())
