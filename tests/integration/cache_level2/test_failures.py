"""A Redis that is away, slow, full or another than before costs little and never a wrong answer."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from actors.cache.level2.node import ServerRestarted
from actors.cache.level2.redis_level import Found, Put, RedisLevel
from actors.runtime.errors import Unavailable
from tests.integration.cache_level2.conftest import DEADLINE_S, OpenLevel, until
from tests.support.ports import free_port
from tests.support.redis_servers import TestRedis
from tests.support.stream_server import stream_server

_ITEM = Put("key", 5, 5, b"value", 600.0)
_FOUND = {"key": Found(5, 5, b"value")}
# To refuse a call takes microseconds; the rest is for a machine that is busy. A quarter of the deadline.
_AT_ONCE_S = 0.5


async def _answers(level: RedisLevel) -> bool:
    try:
        await level.get(["key"])
    except Unavailable:
        return False
    return True


async def _refusal(level: RedisLevel) -> tuple[Unavailable, float]:
    """Return why a call fails, and after how long."""
    began = time.monotonic()
    with pytest.raises(Unavailable) as refused:
        await level.get(["key"])
    return refused.value, time.monotonic() - began


async def test_the_identity_lasts_as_long_as_the_server(server: TestRedis, open_level: OpenLevel) -> None:
    """It is the same for every process, and another after a restart."""
    first = open_level(server.url)
    before = await first.identity()
    assert await first.identity() == await open_level(server.unix_url).identity() == before
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    assert await first.identity() != before


async def test_a_restarted_server_is_not_believed(server: TestRedis, open_level: OpenLevel) -> None:
    """What an old snapshot brings back is not returned, nor anything written, before the identity was read anew."""
    level = open_level(server.url)
    await level.identity()
    await level.put([_ITEM])
    server.ask("SAVE")
    await level.mark([("key", 6)])
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    assert server.ask("EXISTS", f"{level.prefix}key")  # With the data that was marked since.
    for _ in range(10):
        with pytest.raises(ServerRestarted):
            await level.get(["key"])
    with pytest.raises(ServerRestarted):
        await level.put([Put("other", 1, 1, b"value", 60.0)])
    assert not server.ask("EXISTS", f"{level.prefix}other")
    await level.identity()
    level.reprefix(f"{level.prefix}again:")
    assert await level.get(["key"]) == {}


async def test_who_never_read_the_identity_is_told_nothing(server: TestRedis, open_level: OpenLevel) -> None:
    """A restart is then not noticed, beyond the calls that it cut short."""
    level = open_level(server.url)
    await level.put([_ITEM])
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    assert await level.get(["key"]) == _FOUND


async def test_a_server_that_was_stopped_is_left_alone_until_it_is_back(
    server: TestRedis, open_level: OpenLevel
) -> None:
    """Calls fail at once, soon without trying; when it is there again they succeed by themselves."""
    level = open_level(server.url)
    await level.put([_ITEM])
    await asyncio.to_thread(server.stop)
    for _ in range(20):
        error, took_s = await _refusal(level)
        assert took_s < _AT_ONCE_S
    assert "left alone after ConnectionError" in error.reason
    assert 0.0 <= error.retry_after_s <= 1.0
    await asyncio.to_thread(server.start)
    began = time.monotonic()
    await until(lambda: _answers(level))
    assert time.monotonic() - began < 3.0
    assert await level.get(["key"]) == _FOUND


async def test_a_server_that_was_never_there_is_left_alone_too(open_level: OpenLevel) -> None:
    """Before it is known what kind of server it is."""
    server = TestRedis(port=free_port())
    level = open_level(server.url)
    try:
        for _ in range(20):
            error, took_s = await _refusal(level)
            assert took_s < _AT_ONCE_S
        assert "left alone" in error.reason
        await asyncio.to_thread(server.start)
        await until(lambda: _answers(level))
    finally:
        server.remove()


async def test_a_frozen_server_costs_two_deadlines(server: TestRedis, open_level: OpenLevel) -> None:
    """Then calls fail at once; when it goes on, so do they."""
    level = open_level(server.url, deadline_s=0.25)
    await level.put([_ITEM])
    server.pause()
    try:
        for _ in range(2):
            error, took_s = await _refusal(level)
            assert 0.2 < took_s < 0.25 + _AT_ONCE_S
            assert error.reason == "no answer within the deadline"
        error, took_s = await _refusal(level)
        assert took_s < 0.2
        assert error.reason == "left alone after no answer within the deadline"
    finally:
        server.resume()
    await until(lambda: _answers(level))
    assert await level.get(["key"]) == _FOUND


async def test_a_burst_of_calls_to_a_frozen_server_ends_in_one_deadline(
    server: TestRedis, open_level: OpenLevel
) -> None:
    """Also for those that wait for a connection, of which there are few."""
    level = open_level(server.url, deadline_s=0.25, pool_size=2)
    await level.put([_ITEM])
    server.pause()
    try:
        began = time.monotonic()
        outcomes = await asyncio.gather(*(level.get(["key"]) for _ in range(100)), return_exceptions=True)
        assert time.monotonic() - began < 0.25 + _AT_ONCE_S
    finally:
        server.resume()
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)


async def test_connections_are_bounded_and_used_again(server: TestRedis, open_level: OpenLevel) -> None:
    """A thousand calls at once go over as many as were allowed."""
    level = open_level(server.url, pool_size=3)
    await level.put([_ITEM])
    outcomes = await asyncio.gather(*(level.get(["key"]) for _ in range(1000)))
    assert all(outcome == _FOUND for outcome in outcomes)
    # One connection is that of the question.
    assert int(server.ask("INFO", "clients")["connected_clients"]) == 3 + 1
    assert int(server.ask("INFO", "stats")["total_connections_received"]) < 20


async def test_too_many_waiting_calls_are_refused(server: TestRedis, open_level: OpenLevel) -> None:
    """The line for a connection has an end; to be refused there does not open the breaker."""
    level = open_level(server.url, pool_size=1)
    await level.put([_ITEM])
    outcomes = await asyncio.gather(*(level.get(["key"]) for _ in range(1500)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert 0 < len(refused) < 1500
    assert {error.reason for error in refused} == {"too many calls wait for a connection"}
    assert await level.get(["key"]) == _FOUND


@pytest.mark.parametrize("seed", range(3))
async def test_a_cancelled_call_leaves_no_answer_behind(
    shared_server: TestRedis, open_level: OpenLevel, seed: int
) -> None:
    """Each caller gets its own answer, though others gave up at any moment before."""
    draw = random.Random(seed)
    level = open_level(shared_server.url, pool_size=2)
    keys = [f"key-{number}" for number in range(50)]
    await level.put([Put(key, 1, 1, key.encode(), 60.0) for key in keys])

    async def ask(key: str) -> None:
        assert await level.get([key]) == {key: Found(1, 1, key.encode())}

    async def give_up(key: str) -> None:
        task = asyncio.ensure_future(ask(key))
        for _ in range(draw.randint(0, 12)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(40):
        chosen = draw.sample(keys, 10)
        await asyncio.gather(*(give_up(key) if draw.random() < 0.5 else ask(key) for key in chosen))
    await asyncio.gather(*(ask(key) for key in keys))


async def test_connections_that_the_server_closed_are_replaced(shared_server: TestRedis, open_level: OpenLevel) -> None:
    """Without a call that fails: the end of a connection shows before it is used."""
    level = open_level(shared_server.url)
    await level.put([_ITEM])
    shared_server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asyncio.sleep(0)  # The loop has to see that they have ended.
    await until(lambda: _answers(level), within_s=1.0)
    assert await level.get(["key"]) == _FOUND


async def test_a_full_server_refuses_writes_alone(server: TestRedis, open_level: OpenLevel) -> None:
    """A put fails with its reason; what is there is read once the breaker lets calls through again."""
    level = open_level(server.url)
    await level.put([_ITEM])
    server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Unavailable, match="OutOfMemory"):
        await level.put([_ITEM])
    assert await level.get(["key"]) == _FOUND


async def test_a_wrong_password_is_told_but_not_shown(server: TestRedis, open_level: OpenLevel) -> None:
    """The reason names the fault alone."""
    server.ask("CONFIG", "SET", "requirepass", "right")
    level = open_level(f"redis://:sEcReT@127.0.0.1:{server.port}/0")
    error, _ = await _refusal(level)
    assert "AuthenticationError" in error.reason
    assert "sEcReT" not in str(error)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", ""])
def test_a_url_that_leads_nowhere_is_refused_at_once(url: str, open_level: OpenLevel) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match="Redis URL must specify"):
        open_level(url)


async def test_a_closed_level_refuses_calls(shared_server: TestRedis, open_level: OpenLevel) -> None:
    """Used before or not; closing twice does no harm."""
    for used in (True, False):
        level = open_level(shared_server.url)
        if used:
            await level.put([_ITEM])
        await level.close()
        await level.close()
        with pytest.raises(Unavailable, match="closed"):
            await level.get(["key"])


async def test_closing_lets_calls_under_way_end(server: TestRedis, open_level: OpenLevel) -> None:
    """And then nothing is open any more."""
    level = open_level(server.url)
    await level.put([_ITEM])
    calls = [asyncio.ensure_future(level.get(["key"])) for _ in range(20)]
    await asyncio.sleep(0)
    await level.close()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(outcome == _FOUND or isinstance(outcome, Unavailable) for outcome in outcomes)
    await until(lambda: int(server.ask("INFO", "clients")["connected_clients"]) == 1)


async def test_the_deadline_holds_for_a_server_that_accepts_and_says_nothing(open_level: OpenLevel) -> None:
    """Before the first answer."""

    async def ignore(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with stream_server(ignore) as port:
        level = open_level(f"redis://127.0.0.1:{port}", deadline_s=0.2)
        error, took_s = await _refusal(level)
    assert error.reason == "no answer within the deadline"
    assert 0.15 < took_s < DEADLINE_S
