"""A shard's part of a real Redis: what outlives the shard, and what is never read again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import pytest

from actors.cache.epochs import Epoch
from actors.cache.level2.redis_level import RedisLevel
from actors.cache.second_level import SecondLevel
from actors.runtime.errors import Unavailable
from tests.integration.cache_level2.conftest import SEALER
from tests.support.redis_servers import TestRedis, info_fields

_WITHIN_S = 10
_SETTLED_AFTER_S = 0.1
KEY = "payment:1"


class _Epochs:
    """Remembers as PostgreSQL does, and can be away."""

    def __init__(self) -> None:
        self.epoch = Epoch(0, 1, "")
        self.is_away = False

    async def take(self) -> Epoch:
        self.epoch = self.epoch._replace(incarnation=self.epoch.incarnation + 1)
        return self.epoch

    async def begin_reign(self, number: int) -> None:
        raise AssertionError("its cluster is always alone")

    async def move(self, redis: str) -> Epoch:
        if self.is_away:
            raise Unavailable("database", "is away", 1.0)
        self.epoch = self.epoch._replace(namespace=self.epoch.namespace + 1, redis=redis)
        return self.epoch


@pytest.fixture
def epochs() -> _Epochs:
    """Return what outlives the shard."""
    return _Epochs()


@asynccontextmanager
async def _opened(
    server: TestRedis, epochs: _Epochs, models: Collection[str] | None = None
) -> AsyncIterator[SecondLevel]:
    """Start as a shard does, and end as one that is killed."""
    level = RedisLevel(server.url, SEALER, prefix="", deadline_s=0.5)
    second = SecondLevel(
        level,
        epochs,
        prefix=lambda epoch: f"test:{epoch.namespace}:",
        models=models,
        settled_after_s=_SETTLED_AFTER_S,
    )
    await second.open(await epochs.take())
    running = asyncio.create_task(second.run())
    try:
        yield second
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await second.close()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while not holds():
            await asyncio.sleep(0.01)


async def _kept(second: SecondLevel, value: bytes, stamp: int, version: int = 1) -> None:
    """Have a value stored, and wait until it is."""
    second.keep(KEY, stamp, version, value, 60.0)
    async with asyncio.timeout(_WITHIN_S):
        while KEY not in (found := await second.find([KEY])) or found[KEY].value != value:
            await asyncio.sleep(0.01)


def _commands(server: TestRedis) -> int:
    """Return how many commands the server has carried out."""
    return int(info_fields(server.ask("INFO", "stats"))["total_commands_processed"])


async def test_values_outlive_the_shard(server: TestRedis, epochs: _Epochs) -> None:
    """With their versions and the time that they have left."""
    async with _opened(server, epochs) as second:
        await _kept(second, b"value", stamp=1, version=7)
        await second.save_hot_keys([KEY])
    async with _opened(server, epochs) as second:
        assert await second.hot_keys() == [KEY]
        kept = (await second.find([KEY]))[KEY]
        assert (kept.value, kept.version) == (b"value", 7)
        assert 30 < kept.ttl_s <= 60


async def test_what_is_marked_is_gone(server: TestRedis, epochs: _Epochs) -> None:
    """Also for the shard's successor, and for a write that comes late."""
    async with _opened(server, epochs) as second:
        await _kept(second, b"old", stamp=1)
        await second.mark([KEY], 2)
        assert await second.find([KEY]) == {}
        second.keep(KEY, 1, 1, b"late", 60.0)
        await _kept(second, b"new", stamp=3, version=2)
    async with _opened(server, epochs) as second:
        assert (await second.find([KEY]))[KEY].value == b"new"


async def test_what_changes_all_the_time_is_neither_written_nor_marked(server: TestRedis, epochs: _Epochs) -> None:
    """Redis hears of a key once: before its first change. A value that stays for a while is written, and marked."""
    async with _opened(server, epochs) as second:
        await second.mark([KEY], 1)
        before = _commands(server)
        for stamp in range(2, 100, 2):
            second.keep(KEY, stamp, stamp, b"value", 60.0)
            await second.mark([KEY], stamp + 1)
        assert _commands(server) - before < 10  # Those of the question itself.
        await _kept(second, b"settled", stamp=101, version=101)
        await second.mark([KEY], 102)
        assert await second.find([KEY]) == {}


async def test_a_value_that_is_sent_while_its_key_is_marked_is_marked_again(server: TestRedis, epochs: _Epochs) -> None:
    """Else a later change would count on Redis holding nothing of it."""
    async with _opened(server, epochs) as second:
        server.pause()
        marking = asyncio.create_task(second.mark([KEY], 1))
        await asyncio.sleep(0)
        second.keep(KEY, 2, 2, b"value", 60.0)
        await asyncio.sleep(2 * _SETTLED_AFTER_S)
        server.resume()
        await marking
        async with asyncio.timeout(_WITHIN_S):
            while KEY not in await second.find([KEY]):
                await asyncio.sleep(0.01)
        await second.mark([KEY], 3)
        assert await second.find([KEY]) == {}


async def test_a_redis_that_hangs_is_left_for_a_new_namespace(server: TestRedis, epochs: _Epochs) -> None:
    """A mark that cannot be made costs its deadline once; what Redis held is not read when it is back."""
    async with _opened(server, epochs) as second:
        await _kept(second, b"old", stamp=1)
        server.pause()
        await second.mark([KEY], 2)
        assert not second.usable
        await second.mark([KEY], 3)
        server.resume()
        await _until(lambda: second.usable)
        assert await second.find([KEY]) == {}
        await _kept(second, b"new", stamp=4)
    async with _opened(server, epochs) as second:
        assert (await second.find([KEY]))[KEY].value == b"new"


async def test_a_mark_that_nobody_takes_note_of_is_refused(server: TestRedis, epochs: _Epochs) -> None:
    """Neither Redis nor PostgreSQL: the transition must not go on."""
    async with _opened(server, epochs) as second:
        server.pause()
        epochs.is_away = True
        with pytest.raises(Unavailable):
            await second.mark([KEY], 2)
        epochs.is_away = False
        await second.mark([KEY], 2)
        server.resume()


@pytest.mark.parametrize("shard_is_there", [True, False])
async def test_a_redis_that_came_back_with_the_past_is_not_believed(
    server: TestRedis, epochs: _Epochs, shard_is_there: bool
) -> None:
    """Whether the shard sees it restart or starts after it."""
    async with _opened(server, epochs) as second:
        await _kept(second, b"old", stamp=1)
        server.ask("SAVE")
        await second.mark([KEY], 2)
        if shard_is_there:
            server.kill()
            server.start()
            async with asyncio.timeout(_WITHIN_S):
                while not (second.moves and second.usable):
                    assert await second.find([KEY]) == {}
                    await asyncio.sleep(0.01)
            assert await second.find([KEY]) == {}
    if not shard_is_there:
        server.kill()
        server.start()
    async with _opened(server, epochs) as second:
        assert await second.find([KEY]) == {}
        assert second.usable


async def test_a_shard_starts_without_redis_and_uses_it_later(server: TestRedis, epochs: _Epochs) -> None:
    """What it did not mark meanwhile is not read."""
    async with _opened(server, epochs) as second:
        await _kept(second, b"old", stamp=1)
    server.pause()
    async with _opened(server, epochs) as second:
        assert not second.usable
        await second.mark([KEY], 2)
        server.resume()
        await _until(lambda: second.usable)
        assert await second.find([KEY]) == {}


async def test_operators_can_have_all_of_it_forgotten(server: TestRedis, epochs: _Epochs) -> None:
    """At once, and for the shard's successor."""
    async with _opened(server, epochs) as second:
        await _kept(second, b"value", stamp=1)
        await second.forget()
        assert await second.find([KEY]) == {}
    async with _opened(server, epochs) as second:
        assert await second.find([KEY]) == {}


async def test_models_that_do_not_live_there_are_neither_written_nor_read(server: TestRedis, epochs: _Epochs) -> None:
    """They are marked all the same: what an earlier version wrote must not come back with a later one."""
    async with _opened(server, epochs) as second:
        await _kept(second, b"old", stamp=1)
    async with _opened(server, epochs, models=["refund"]) as second:
        assert await second.find([KEY]) == {}
        second.keep(KEY, 2, 2, b"newer", 60.0)
        second.keep("refund:1", 3, 1, b"refund", 60.0)
        async with asyncio.timeout(_WITHIN_S):
            while not await second.find(["refund:1", KEY]):
                await asyncio.sleep(0.01)
    async with _opened(server, epochs) as second:
        assert (await second.find([KEY]))[KEY].value == b"old"
    async with _opened(server, epochs, models=["refund"]) as second:
        await second.mark([KEY], 4)
    async with _opened(server, epochs) as second:
        assert await second.find([KEY]) == {}
