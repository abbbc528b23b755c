"""A shard's writes behind on a real Redis: who owns them, and what stays of them whoever goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from actors.cache.actor import CacheShardActor
from actors.cache.epochs import Epoch
from actors.cache.level2.journal import Entry, Journal, NotOwner
from actors.cache.level2.sealing import Sealer
from actors.cache.messages import RECORDS_MAX, Bypass, Want, Welcome
from actors.cache.sharding.membership import Membership
from actors.cache.write_behind import WriteBehind
from actors.runtime.errors import OutcomeUnknown, Overloaded, Unavailable
from tests.integration.cache_level2.conftest import SEALER, OpenJournal, until
from tests.support.redis_servers import TestRedis
from tests.support.rings import SteadyRing


class Sink:
    """Applies each entry once, as the stored one does, and fails when it is told to."""

    def __init__(self) -> None:
        self.owner = 0
        self.applied = (0, 0)
        self.payloads: list[bytes] = []
        self.given = 0
        self.fails: Exception | None = None

    async def take(self, owner: int) -> tuple[int, int]:
        if owner < self.owner:
            raise NotOwner("journal")
        self.owner = owner
        return self.applied

    async def apply(self, entries: Sequence[Entry]) -> None:
        self.given += len(entries)
        if self.fails is not None:
            raise self.fails
        for entry in entries:
            if entry.order > self.applied:
                self.payloads.append(entry.payload)
                self.applied = entry.order


@asynccontextmanager
async def _running(journal: Journal, sink: Sink, owner: int = 1) -> AsyncIterator[WriteBehind]:
    behind = WriteBehind("shard", journal, sink, owner=owner)
    running = asyncio.ensure_future(behind.run())
    try:
        yield behind
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _recorded(behind: WriteBehind, *payloads: bytes) -> None:
    """Record as soon as that is possible."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await behind.record([("key", payload) for payload in payloads])
            except Unavailable:
                await asyncio.sleep(0.01)


async def _is_drained(behind: WriteBehind) -> bool:
    state = await behind.state()
    return state.unapplied == 0 and not state.fault


async def test_what_is_recorded_is_applied_in_order(shared_server: TestRedis, open_journal: OpenJournal) -> None:
    """And the journal is empty then."""
    sink = Sink()
    async with _running(open_journal(shared_server.url), sink) as behind:
        await _recorded(behind, b"1", b"2")
        await behind.record([("other", b"3")])
        await until(lambda: _is_drained(behind))
    assert sink.payloads == [b"1", b"2", b"3"]


async def test_an_acknowledged_write_outlives_its_process(shared_server: TestRedis, open_journal: OpenJournal) -> None:
    """A new owner takes over what a dead one left, also what was applied and not removed."""
    sink = Sink()
    sink.fails = RuntimeError("the database is away")
    async with _running(open_journal(shared_server.url), sink) as dead:
        await _recorded(dead, b"1", b"2")
        await until(lambda: sink.given)
        assert (await dead.state()).fault == "not applied: RuntimeError"
    sink.fails, sink.given = None, 0
    async with _running(open_journal(shared_server.url), sink, owner=2) as behind:
        await _recorded(behind, b"3")
        await until(lambda: _is_drained(behind))
    assert sink.payloads == [b"1", b"2", b"3"]


async def test_a_later_owner_ends_the_one_before(shared_server: TestRedis, open_journal: OpenJournal) -> None:
    """Which records and applies nothing any more, and does not come back."""
    sink = Sink()
    old = WriteBehind("old", open_journal(shared_server.url), sink, owner=1)
    ending = asyncio.ensure_future(old.run())
    await _recorded(old, b"1")
    async with _running(open_journal(shared_server.url), sink, owner=2) as new:
        await _recorded(new, b"2")
        await asyncio.wait_for(ending, 10)
        with pytest.raises(Unavailable, match="later"):
            await old.record([("key", b"late")])
        await until(lambda: _is_drained(new))
    assert sink.payloads == [b"1", b"2"]


async def test_a_redis_that_lost_everything_is_taken_again(server: TestRedis, open_journal: OpenJournal) -> None:
    """By the owner that there is, without another start; what is recorded then is applied."""
    sink = Sink()
    async with _running(open_journal(server.url), sink) as behind:
        await _recorded(behind, b"1")
        await until(lambda: _is_drained(behind))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await _recorded(behind, b"2")
        await until(lambda: _is_drained(behind))
    assert sink.payloads == [b"1", b"2"]


async def test_ids_go_on_where_redis_forgot_them_and_its_clock_went_back(
    server: TestRedis, open_journal: OpenJournal
) -> None:
    """Else a sink that has seen the later ones would pass over what comes."""
    sink = Sink()
    sink.applied = ahead = (2**42, 7)
    async with _running(open_journal(server.url), sink) as behind:
        await _recorded(behind, b"1", b"2")
        await until(lambda: _is_drained(behind))
        server.ask("FLUSHALL")
        await _recorded(behind, b"3")
        await until(lambda: _is_drained(behind))
    assert sink.payloads == [b"1", b"2", b"3"]
    assert sink.applied > ahead


async def test_a_redis_that_freezes_and_comes_back(server: TestRedis, open_journal: OpenJournal) -> None:
    """What may have been taken is said to be so and applied once; after that it goes on by itself."""
    sink = Sink()
    async with _running(open_journal(server.url, deadline_s=0.3), sink) as behind:
        await _recorded(behind, b"1")
        await until(lambda: _is_drained(behind))
        server.pause()
        with pytest.raises(OutcomeUnknown):
            await behind.record([("key", b"2")])
        state = await asyncio.wait_for(behind.state(), 0.8)
        assert state.unapplied is None
        assert state.fault
        server.resume()
        await _recorded(behind, b"3")
        await until(lambda: _is_drained(behind))
    assert sink.payloads == [b"1", b"2", b"3"]


async def test_a_full_journal_refuses(shared_server: TestRedis, open_journal: OpenJournal) -> None:
    """Whole records, and takes them again once the sink gets on."""
    sink = Sink()
    sink.fails = RuntimeError("the database is away")
    async with _running(open_journal(shared_server.url, unapplied_max=RECORDS_MAX), sink) as behind:
        await _recorded(behind, *[b"x"] * (RECORDS_MAX - 1))
        with pytest.raises(Overloaded):
            await behind.record([("key", b"y")] * 2)
        assert (await behind.state()).unapplied == RECORDS_MAX - 1
        sink.fails = None
        await until(lambda: _is_drained(behind))
        await behind.record([("key", b"y")])
        await until(lambda: len(sink.payloads) == RECORDS_MAX)


async def test_a_journal_of_another_key_is_left_as_it_is(shared_server: TestRedis, open_journal: OpenJournal) -> None:
    """Its fault is told, and with the right key all of it is there."""
    sink = Sink()
    sink.fails = RuntimeError("not yet")
    async with _running(open_journal(shared_server.url), sink) as behind:
        await _recorded(behind, b"1")
    sink.fails = None
    async with _running(open_journal(shared_server.url, Sealer(b"x" * 32)), sink, owner=2) as wrong:
        await until(lambda: _has_fault(wrong, "SealBroken"))
    async with _running(open_journal(shared_server.url), sink, owner=3) as behind:
        await until(lambda: _is_drained(behind))
    assert sink.payloads == [b"1"]


async def _has_fault(behind: WriteBehind, words: str) -> bool:
    return words in (await behind.state()).fault


class _Epochs:
    async def take(self) -> Epoch:
        return Epoch(1, 1, "")

    async def begin_reign(self, number: int) -> None:
        raise AssertionError("its cluster is always alone")

    async def move(self, redis: str) -> Epoch:
        return Epoch(1, 2, redis)


def _shard(ring: SteadyRing, journal: Journal, sink: Sink) -> CacheShardActor:
    return CacheShardActor(
        "0",
        "cache-shard-0",
        "test",
        1_000_000,
        lambda _: _Epochs(),
        lambda _: ring,
        lambda: None,
        write_behind=lambda _: (journal, sink),
    )


async def test_a_shard_serves_while_its_journal_is_away(server: TestRedis) -> None:
    """Reads and snapshots answer, records are refused; when Redis is there it records."""
    sink = Sink()
    await asyncio.to_thread(server.stop)
    journal = Journal(server.url, SEALER, name="away", deadline_s=0.5)
    shard = _shard(SteadyRing("test"), journal, sink)
    welcome = await shard.open_session("test", 1)
    assert isinstance(welcome, Welcome)
    assert shard.read(welcome.session, [Want("payment:1", None, False)]) == [Bypass("recovering")]
    with pytest.raises(Unavailable):
        await shard.record([("key", b"1")])
    state = (await shard.snapshot()).state
    assert state.unapplied is None
    assert state.journal_fault
    await asyncio.to_thread(server.start)
    assert shard._behind is not None
    await _recorded(shard._behind, b"1")
    await until(lambda: sink.payloads == [b"1"])
    await _end(shard, journal)


async def test_a_shard_that_left_the_ring_ends_once_its_journal_is_applied(server: TestRedis) -> None:
    """It records nothing more, and what it has acknowledged is not left behind."""
    sink, ring = Sink(), SteadyRing("test")
    journal = Journal(server.url, SEALER, name="leaves")
    shard = _shard(ring, journal, sink)
    assert not await shard.may_end()
    sink.fails = Unavailable("database", "is away", 1.0)
    await until(lambda: _records(shard))
    # As if it had been the second of two.
    shard._name = "cache-shard-1"
    shard._member = Membership("cache-shard-1", ring.stored)
    with pytest.raises(Unavailable):
        await shard.record([("key", b"2")])
    assert not await shard.may_end()
    sink.fails = None
    await until(shard.may_end)
    assert sink.payloads == [b"1"]
    await _end(shard, journal)


async def _end(shard: CacheShardActor, journal: Journal) -> None:
    for task in shard._working:
        task.cancel()
    await asyncio.gather(*shard._working, return_exceptions=True)
    await journal.close()


async def _records(shard: CacheShardActor) -> bool:
    try:
        await shard.record([("key", b"1")])
    except Unavailable:
        return False
    return True
