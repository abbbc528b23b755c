"""No read goes back in time, whatever stalls, dies or is lost; and the checker catches each way to get it wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import pytest

from actors.cache.actor import CacheShardActor
from actors.cache.client import CacheClient, Loaded
from actors.cache.coherence.sessions import Directory, Session
from actors.cache.level2.redis_level import Put
from actors.cache.messages import Begin, Begun, Fill, Publication
from actors.cache.near import NearEntry, NearSession
from actors.cache.quiet import QuietTags
from actors.cache.shard import CacheShard
from tests.unit.cache.simulated_ring import SimulatedRing
from tests.unit.cache.simulation import (
    MakeClient,
    MakeShard,
    SimulatedDatabase,
    SimulatedProcess,
    SimulatedRedis,
    SimulatedShard,
    make_actor,
    make_process_client,
    plain_client,
    plain_shard,
    simulate,
)
from tests.unit.cache.virtual_time import run_virtually

# Measuring which lines run takes longer than running them; what runs here has unit tests of its own.
pytestmark = pytest.mark.no_cover

_T = TypeVar("_T")

_CAUGHT_WITHIN = 12
"""So many histories are enough for each broken variant to show."""


@pytest.mark.parametrize("keys", [6, 60])
@pytest.mark.parametrize("seed", range(1, 6))
def test_no_read_goes_back_in_time(seed: int, keys: int) -> None:
    """A minute of reads and writes by three processes through two shards, with faults every few seconds."""
    history, _ = run_virtually(simulate(seed, keys=keys))
    assert history.violations() == []
    assert history.read_count > 5_000


def test_most_reads_are_near_where_nothing_fails() -> None:
    """The checked reads are those of the cache: at most one in five goes further than its own process."""
    history, processes = run_virtually(simulate(1, faults=(), keys=40, write_share=0.005))
    near = sum(process.cache.counts["payment"].near_hits for process in processes)
    reads = sum(len(reads) for key, reads in history.reads.items() if key.startswith("payment:"))
    assert history.violations() == []
    assert near / reads > 0.8


class _NoDirectory(CacheShard):
    """Forgets who holds what."""

    def _invalidate(self, keys, tags, writer):  # type: ignore[no-untyped-def]
        self._directory = _Forgetful(self._directory)
        return super()._invalidate(keys, tags, writer)


class _Forgetful(Directory):
    def __init__(self, real: Directory) -> None:
        self.__dict__ = real.__dict__

    def revoke(self, key: str, sequence: int, writer: Session | None) -> list[asyncio.Future[None]]:
        return []


class _NotAwaited(CacheShard):
    """Tells the holders, and does not wait until they have heard."""

    def _invalidate(self, keys, tags, writer):  # type: ignore[no-untyped-def]
        super()._invalidate(keys, tags, writer)
        return []


class _NoFence(CacheShard):
    """Takes what a load has found although a transition has called it off."""

    def _fill(self, found: Fill, *, is_new: bool = True) -> None:
        self._flights.finish(found.key, found.token)
        self._values._forget(found.key)
        self._put(found.key, found.value, found.version, found.ttl_s, None, self._clock(), 0.0, is_new=is_new)


class _NoTransitions(CacheShard):
    """Serves and fills while a key is changing: what writers published is all that it goes by."""

    def _read(self, reader, want, now):  # type: ignore[no-untyped-def]
        changing, self._transitions._changing = self._transitions._changing, {}
        try:
            return super()._read(reader, want, now)
        finally:
            self._transitions._changing = changing


class _NoRecovery(CacheShard):
    """Begins to serve, and lets transitions begin, as soon as it starts."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        self._ready_at = 0.0


class _FillAfterInvalidation(CacheClient):
    """Keeps an answer near although an invalidation has overtaken it."""

    def _keep(self, session, key, answer, value, version, ttl_s):  # type: ignore[no-untyped-def]
        self._near.keep(key, NearEntry(value, version, self._clock() + ttl_s, session, answer.hold))


class _JoinsOldReads(CacheClient):
    """Lets reads join one that began before an invalidation."""

    def _invalidated(self, keys):  # type: ignore[no-untyped-def]
        self._near.drop(keys)
        return self._quiet.revoke(keys)


class _EternalSession(NearSession):
    """Is believed for ever."""

    @property
    def valid_until(self) -> float:
        return 1e9

    @valid_until.setter
    def valid_until(self, value: float) -> None:
        pass


class _IgnoresLease(CacheClient):
    """Serves what it holds although it has not heard from the shard."""

    def _keep(self, session, key, answer, value, version, ttl_s):  # type: ignore[no-untyped-def]
        if session.is_current(key, answer.sequence):
            eternal = _EternalSession(session.id, session.sequence, 0.0)
            self._near.keep(key, NearEntry(value, version, self._clock() + ttl_s, eternal, answer.hold))


class _NeverWakes(QuietTags):
    """Goes on believing that nothing is cached under a tag."""

    def revoke(self, keys: Sequence[str]) -> list[Callable[[], Awaitable[object]]]:
        return []


class _IgnoresWaking(CacheClient):
    """Tells nobody of changes under a tag that was quiet once."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        self._quiet.__class__ = _NeverWakes


def _shard(kind: type[CacheShard]) -> MakeShard:
    class Actor(CacheShardActor):
        shard_class = kind

    return lambda place: make_actor(Actor, place)


class _BareSet(SimulatedRedis):
    """Takes whatever comes, in the order in which it comes."""

    def _put(self, prefix: str, item: Put) -> bool:
        self.entries[prefix + item.key] = (item.stamp, item.version, item.data)
        return True


class _BelievesTheReturned(SimulatedRedis):
    """Does not notice that Redis came back with the past."""

    def restart(self) -> None:
        self.entries = dict(self.snapshot)


def _redis(kind: type[SimulatedRedis]) -> MakeShard:
    def make(place: SimulatedShard) -> CacheShardActor:
        place._redis.__class__ = kind
        return plain_shard(place)

    return make


class _NotMarked(CacheShardActor):
    """Confirms transitions without a word to Redis."""

    async def begin(self, session: int, beginnings: Sequence[Begin]) -> list[Begun]:
        return self._shard.begin(session, beginnings)


def _client(kind: type[CacheClient]) -> MakeClient:
    return lambda process: make_process_client(kind, process)


@pytest.mark.parametrize(
    ("make_shard", "make_client"),
    [
        (_shard(_NoDirectory), plain_client),
        (_shard(_NotAwaited), plain_client),
        (_shard(_NoFence), plain_client),
        (_shard(_NoTransitions), plain_client),
        (_shard(_NoRecovery), plain_client),
        (_redis(_BareSet), plain_client),
        (_redis(_BelievesTheReturned), plain_client),
        (lambda place: make_actor(_NotMarked, place), plain_client),
        (plain_shard, _client(_FillAfterInvalidation)),
        (plain_shard, _client(_JoinsOldReads)),
        (plain_shard, _client(_IgnoresLease)),
        (plain_shard, _client(_IgnoresWaking)),
    ],
    ids=[
        "no directory", "acknowledgements not awaited", "no fencing", "no transitions", "no recovery",
        "bare SET to Redis", "believes a Redis that restarted", "Redis is not told",
        "fill after invalidation", "joins old reads", "ignores the lease", "ignores that a tag is read",
    ],
)  # fmt: skip
def test_each_broken_variant_is_caught(make_shard: MakeShard, make_client: MakeClient) -> None:
    """Each rule of the protocol is needed: without it, some read of some history goes back in time."""
    assert any(_is_caught(seed, make_shard, make_client) for seed in range(1, _CAUGHT_WITHIN + 1))


def _is_caught(seed: int, make_shard: MakeShard, make_client: MakeClient) -> bool:
    # Few keys change often, many keep what Redis has for longer.
    keys = 6 if seed % 2 else 60
    history, _ = run_virtually(simulate(seed, make_shard=make_shard, make_client=make_client, keys=keys))
    return bool(history.violations())


def test_a_thousand_misses_are_one_load() -> None:
    """Of one key, through two processes."""

    async def story(processes: list[SimulatedProcess]) -> int:
        loads = 0

        async def load() -> Loaded:
            nonlocal loads
            loads += 1
            await asyncio.sleep(0.1)
            return Loaded(b"1", 1)

        reads = [processes[index % 2].cache.read("payment:1", load, ttl_s=30) for index in range(1000)]
        assert set(await asyncio.gather(*reads)) == {b"1"}
        return loads

    assert _play(story) == 1


def test_a_change_costs_no_reader_a_question() -> None:
    """Whoever held the payment holds its new state a moment later, the writer's own process too."""

    async def story(processes: list[SimulatedProcess]) -> None:
        async def load() -> Loaded:
            return Loaded(b"1", 1)

        for process in processes:
            await process.cache.read("payment:1", load, ttl_s=30)
        transition = processes[0].cache.transition(["payment:1"])
        await transition.begun()
        await transition.end([Publication("payment:1", 2, b"2", 30)])
        await asyncio.sleep(0.5)
        for process in processes:
            assert process.cache.peek("payment:1") == b"2"
            assert process.cache.counts["payment"].updates == 1

    _play(story)


def test_no_page_is_cached_while_a_change_counts_on_its_tag_being_quiet() -> None:
    """When the tag is read a lot, the writer has the shard know of the change before it lets go of its permission."""

    async def story(processes: list[SimulatedProcess]) -> None:
        writer, reader = (process.cache for process in processes)
        await _change(writer)
        transition = writer.transition([], [_TAG])
        await transition.begun()
        state = 1

        async def load() -> Loaded:
            return Loaded(b"%d" % state, 0)

        for _ in range(50):
            assert await reader.read("page:1", load, ttl_s=30, tag=_TAG) == b"1"
        assert reader.counts["page"].loads == 0
        assert reader.counts["page"].bypasses["changing"] > 0
        state = 2
        await transition.end()
        for _ in range(50):
            assert await reader.read("page:1", load, ttl_s=30, tag=_TAG) == b"2"
        assert reader.counts["page"].loads == 1

    _play(story)


def test_changes_under_a_quiet_tag_cost_no_call() -> None:
    """Once the shard has said that it is quiet."""

    async def story(processes: list[SimulatedProcess]) -> None:
        writer = processes[0].cache
        await _change(writer)
        began = asyncio.get_running_loop().time()
        for _ in range(1000):
            await _change(writer)
        assert asyncio.get_running_loop().time() == began

    _play(story)


_TAG = "merchant:1"


async def _change(writer: CacheClient) -> None:
    transition = writer.transition([], [_TAG])
    await transition.begun()
    await transition.end()


def _play(story: Callable[[list[SimulatedProcess]], Awaitable[_T]]) -> _T:
    """Tell a story with two processes on one shard that is ready."""

    async def play() -> _T:
        draw = random.Random(7)
        ring = SimulatedRing(1, plain_shard, draw)
        database = SimulatedDatabase(draw)
        processes = [
            SimulatedProcess(f"process-{index}", ring, database, plain_client, draw, loss=0.0) for index in range(2)
        ]
        for process in processes:
            process.cache.start()
        await asyncio.sleep(3)
        return await story(processes)

    return run_virtually(play())
