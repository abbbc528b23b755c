"""Entries are replaced by comparison alone, in a single server and in a cluster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.cache.level2.redis_level import HOT_KEYS_MAX, Found, Put, RedisLevel
from actors.cache.level2.sealing import Sealer
from tests.integration.cache_level2.conftest import DEADLINE_S, SEALER, OpenLevel, until
from tests.support.redis_servers import TestRedis, TestRedisCluster


@pytest.fixture(params=["tcp", "unix", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of each kind of server."""
    if request.param == "cluster":
        cluster: TestRedisCluster = request.getfixturevalue("shared_cluster")
        return cluster.url
    server: TestRedis = request.getfixturevalue("shared_server")
    return server.url if request.param == "tcp" else server.unix_url


@pytest.fixture
def level(url: str, open_level: OpenLevel) -> RedisLevel:
    """Return a level on each kind of server."""
    return open_level(url)


def _put(stamp: int, version: int = 1, data: bytes = b"new", key: str = "key", ttl_s: float = 60.0) -> Put:
    return Put(key, stamp, version, data, ttl_s)


async def test_what_was_put_is_found(level: RedisLevel) -> None:
    """With its stamp and version, also where it is empty; what was not put is absent."""
    stored = await level.put([_put(7, 3, b"value"), _put(2**53 - 1, 2**53 - 1, b"", key="other")])
    assert stored == [True, True]
    assert await level.get(["key", "nothing", "other"]) == {
        "key": Found(7, 3, b"value"),
        "other": Found(2**53 - 1, 2**53 - 1, b""),
    }


@pytest.mark.parametrize(
    ("stamp", "version", "stored"),
    [
        (11, 6, True),
        (11, 5, True),
        (11, 4, False),
        (10, 6, True),
        (10, 5, True),
        (10, 4, False),
        (9, 6, False),
        (9, 5, False),
    ],
)
async def test_a_put_over_a_value(level: RedisLevel, stamp: int, version: int, stored: bool) -> None:
    """Over stamp 10 and version 5 goes what is not lower in either; an equal put may be repeated."""
    assert await level.put([_put(10, 5, b"old")]) == [True]
    assert await level.put([_put(stamp, version)]) == [stored]
    expected = Found(stamp, version, b"new") if stored else Found(10, 5, b"old")
    assert await level.get(["key"]) == {"key": expected}


@pytest.mark.parametrize(
    ("stamp", "version", "stored"),
    [(11, 6, True), (11, 5, True), (11, 4, False), (10, 6, False), (10, 5, False), (9, 6, False)],
)
async def test_a_put_over_a_tombstone(level: RedisLevel, stamp: int, version: int, stored: bool) -> None:
    """Over one of stamp 10, which kept version 5, goes what has a higher stamp and no lower version."""
    await level.put([_put(3, 5, b"old")])
    await level.mark([("key", 10)])
    assert await level.get(["key"]) == {}
    assert await level.put([_put(stamp, version)]) == [stored]
    assert await level.get(["key"]) == ({"key": Found(stamp, version, b"new")} if stored else {})


@pytest.mark.parametrize(("known", "marked", "remembered"), [(5, 9, 9), (9, 5, 9), (7, 7, 7)])
@pytest.mark.parametrize("tombstone", [False, True])
async def test_a_mark_drops_what_is_there(
    level: RedisLevel, known: int, marked: int, remembered: int, tombstone: bool
) -> None:
    """Whatever its stamp; the higher of the two is remembered, over a value and over a tombstone."""
    if tombstone:
        await level.mark([("key", known)])
    else:
        await level.put([_put(known)])
    await level.mark([("key", marked)])
    assert await level.get(["key"]) == {}
    assert await level.put([_put(remembered), _put(remembered + 1)]) == [False, True]


async def test_a_mark_of_a_key_that_is_unknown_holds(level: RedisLevel) -> None:
    """The fill that it was meant for is still on its way."""
    await level.mark([("key", 4)])
    assert await level.put([_put(3), _put(4), _put(5)]) == [False, False, True]


async def test_items_of_a_call_are_done_in_order(level: RedisLevel) -> None:
    """Also those of one key."""
    puts = [_put(1, 1, b"a"), _put(3, 1, b"b"), _put(2, 1, b"c"), _put(3, 2, b"d")]
    assert await level.put(puts) == [True, True, False, True]
    await level.mark([("key", 9), ("key", 8)])
    assert await level.put([_put(9)]) == [False]


async def test_many_keys_are_one_call(level: RedisLevel) -> None:
    """More than one script takes at once."""
    keys = [f"key-{number}" for number in range(1234)]
    assert await level.put([_put(1, 1, key.encode(), key) for key in keys]) == [True] * len(keys)
    found = await level.get(keys)
    assert {key: entry.data for key, entry in found.items()} == {key: key.encode() for key in keys}
    await level.mark([(key, 2) for key in keys[::2]])
    assert list(await level.get(keys)) == keys[1::2]


async def test_nothing_asked_is_nothing_done(level: RedisLevel) -> None:
    """An empty batch needs no server."""
    assert await level.put([]) == []
    assert await level.get([]) == {}
    await level.mark([])


async def test_data_runs_out_before_its_stamp(level: RedisLevel) -> None:
    """A value of a short life does not take the memory of a mark with it, so a fill from before it stays out."""
    await level.mark([("key", 5)])
    await level.put([_put(9, 3, ttl_s=0.05)])
    await until(lambda: _is_gone(level))
    assert await level.put([_put(4, 9), _put(8, 9), _put(9, 2)]) == [False, False, False]
    assert await level.put([_put(9, 3, b"again")]) == [True]


async def test_a_stamp_is_forgotten_after_the_time_that_was_set(url: str, open_level: OpenLevel) -> None:
    """Then nothing of the key is left in Redis."""
    level = open_level(url, tombstone_ttl_s=0.05)
    await level.mark([("key", 5)])
    await until(lambda: _takes(level, _put(4)))


async def _is_gone(level: RedisLevel) -> bool:
    return await level.get(["key"]) == {}


async def _takes(level: RedisLevel, item: Put) -> bool:
    return (await level.put([item]))[0]


async def test_another_namespace_is_empty(level: RedisLevel) -> None:
    """Nothing of the former one is found or compared with; it is still there to return to."""
    before = level.prefix
    await level.put([_put(9, 9)])
    level.reprefix(f"{before}again:")
    assert await level.get(["key"]) == {}
    assert await level.put([_put(1, 1)]) == [True]
    level.reprefix(before)
    assert await level.get(["key"]) == {"key": Found(9, 9, b"new")}


async def test_what_does_not_open_is_absent(url: str, open_level: OpenLevel) -> None:
    """And counted; the rest of the batch is found, and a put replaces it."""
    ours, other = open_level(url), open_level(url, Sealer(b"x" * 32))
    await other.put([_put(1, 1, b"theirs", "theirs")])
    await ours.put([_put(1, 1, b"ours", "ours")])
    assert list(await ours.get(["theirs", "ours"])) == ["ours"]
    assert (ours.broken, other.broken) == (1, 0)
    assert await ours.put([_put(1, 1, b"ours", "theirs")]) == [True]
    assert len(await ours.get(["theirs", "ours"])) == 2


async def test_hot_keys_are_kept(url: str, open_level: OpenLevel) -> None:
    """In their order, at most a thousand, one list for each namespace; what another key sealed is no list."""
    level = open_level(url)
    assert await level.hot_keys() == []
    await level.save_hot_keys(["b", "ä", "c"])
    assert await level.hot_keys() == ["b", "ä", "c"]
    await level.save_hot_keys([str(number) for number in range(HOT_KEYS_MAX + 5)])
    assert await open_level(url).hot_keys() == [str(number) for number in range(HOT_KEYS_MAX)]
    foreign = open_level(url, Sealer(b"x" * 32))
    assert (await foreign.hot_keys(), foreign.broken) == ([], 1)


async def test_redis_sees_no_data(shared_server: TestRedis, open_level: OpenLevel) -> None:
    """What is stored shows neither the value nor that it is the same as before."""
    level = open_level(shared_server.url)
    await level.put([_put(1, 1, b"4111111111111111")])
    first = shared_server.ask("GET", f"{level.prefix}key")
    await level.put([_put(1, 1, b"4111111111111111")])
    second = shared_server.ask("GET", f"{level.prefix}key")
    assert b"4111" not in first
    assert first[24:] != second[24:]


@pytest.mark.parametrize("place", [7, 15, 24, 40])
async def test_an_entry_that_was_changed_is_absent(shared_server: TestRedis, open_level: OpenLevel, place: int) -> None:
    """Its stamp and version are sealed with it, so old data cannot be given a new version."""
    level = open_level(shared_server.url)
    await level.put([_put(1, 1, b"some data")])
    name = f"{level.prefix}key"
    entry = bytearray(shared_server.ask("GET", name))
    entry[place] ^= 1
    shared_server.ask("SET", name, bytes(entry))
    assert await level.get(["key"]) == {}
    assert level.broken == 1


@pytest.mark.parametrize("junk", [b"", b"junk", b"x" * 24, b"x" * 30, b"x" * 60])
async def test_junk_is_absent(shared_server: TestRedis, open_level: OpenLevel, junk: bytes) -> None:
    """What somebody else wrote under our keys fails no call; a mark replaces it."""
    level = open_level(shared_server.url)
    shared_server.ask("SET", f"{level.prefix}key", junk)
    assert await level.get(["key"]) == {}
    shared_server.ask("SET", f"{level.prefix}key", junk[:23])
    await level.mark([("key", 5)])
    assert await level.put([_put(5), _put(6)]) == [False, True]


async def test_a_call_is_one_round_trip(server: TestRedis, open_level: OpenLevel) -> None:
    """One script for a hundred keys, and again after the server forgot its scripts."""
    level = open_level(server.url)
    keys = [f"key-{number}" for number in range(100)]
    await level.get(keys)
    for _ in range(2):
        server.ask("CONFIG", "RESETSTAT")
        await level.get(keys)
        calls = server.ask("INFO", "commandstats")
        assert calls["cmdstat_evalsha"]["calls"] == 1
        assert "cmdstat_script|load" not in calls
        server.ask("SCRIPT", "FLUSH")
        await level.get(keys)


@dataclass
class Model:
    """The rules as they are written down: of each key its stamp, version and data, None in a tombstone."""

    entries: dict[str, tuple[int, int, bytes | None]] = field(default_factory=dict)

    def mark(self, key: str, stamp: int) -> None:
        """Leave a tombstone."""
        known = self.entries.get(key, (0, 0, None))
        self.entries[key] = (max(stamp, known[0]), known[1], None)

    def put(self, item: Put) -> bool:
        """Store a value, or not."""
        if item.key in self.entries:
            stamp, version, data = self.entries[item.key]
            if item.version < version or item.stamp < stamp or (item.stamp == stamp and data is None):
                return False
        self.entries[item.key] = (item.stamp, item.version, item.data)
        return True

    def get(self) -> dict[str, Found]:
        """Return what is there."""
        return {
            key: Found(stamp, version, data) for key, (stamp, version, data) in self.entries.items() if data is not None
        }


_keys = st.sampled_from(["a", "b", "c"])
_small = st.integers(0, 6)
_puts = st.lists(st.builds(Put, _keys, _small, _small, st.binary(max_size=3), st.just(60.0)), min_size=1, max_size=4)
_marks = st.lists(st.tuples(_keys, _small), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Run the examples of a property in one loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def levels(shared_server: TestRedis, runner: asyncio.Runner) -> Iterator[list[RedisLevel]]:
    """Return levels of three processes, so to say."""
    levels = [RedisLevel(shared_server.url, SEALER, prefix="", deadline_s=DEADLINE_S) for _ in range(3)]
    yield levels
    for level in levels:
        runner.run(level.close())


_example = iter(range(1_000_000))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 2), _puts | _marks), max_size=25))
def test_any_sequence_of_writes_does_what_the_model_does(
    levels: list[RedisLevel],
    runner: asyncio.Runner,
    steps: list[tuple[int, list[Put] | list[tuple[str, int]]]],
) -> None:
    """Whoever writes, in whatever order stamps and versions come."""
    model, prefix = Model(), f"model-{next(_example)}:"

    async def play() -> None:
        for level in levels:
            level.reprefix(prefix)
        for writer, items in steps:
            puts = [item for item in items if isinstance(item, Put)]
            marks = [item for item in items if not isinstance(item, Put)]
            assert await levels[writer].put(puts) == [model.put(item) for item in puts]
            await levels[writer].mark(marks)
            for key, stamp in marks:
                model.mark(key, stamp)
            assert await levels[writer].get(["a", "b", "c"]) == {
                key: model.get()[key] for key in "abc" if key in model.get()
            }

    runner.run(play())


@pytest.mark.parametrize("seed", range(5))
async def test_late_writes_never_bring_an_old_value_back(level: RedisLevel, seed: int) -> None:
    """Fills that were stamped before a mark arrive after it, twice, at once and from anywhere: none is ever seen.

    The database is a number that grows; a change raises the stamp, writes, and marks before it is acknowledged. A fill
    draws its stamp, then reads, and is delivered at any later time.
    """
    draw = random.Random(seed)
    keys = ["a", "b", "c", "d"]
    database: dict[str, int] = dict.fromkeys(keys, 1)
    late: list[Put] = []

    async def deliver(count: int) -> None:
        draw.shuffle(late)
        batch = [*late[:count], *draw.sample(late, min(len(late), 3))]
        await asyncio.gather(*(level.put([item]) for item in batch))
        del late[: draw.randint(0, count)]

    for stamp in range(1, 61):
        key = draw.choice(keys)
        if draw.random() < 0.4:
            # The version does not help: where no fill of this one was stored yet, the one before is the highest known.
            database[key] += 1
            await asyncio.gather(deliver(draw.randint(0, 4)), level.mark([(key, stamp)]))
        else:
            late.append(Put(key, stamp, database[key], str(database[key]).encode(), 60.0))
        await deliver(draw.randint(0, 6))
        for found_key, found in (await level.get(keys)).items():
            assert int(found.data) == database[found_key], f"seed {seed}"
