"""What a shard sends to Redis, and in how many messages; in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest

from actors.cache.level2.redis_level import Put
from actors.cache.second_level import SecondLevel
from tests.support.rings import SteadyRing
from tests.unit.cache.simulation import SimulatedRedis, SimulatedShard, plain_shard
from tests.unit.cache.virtual_time import run_virtually

SETTLED_S = 2.0


class _Counted(SimulatedRedis):
    """Remembers the keys of each message of values."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.messages: list[list[str]] = []

    async def put(self, items: Sequence[Put]) -> list[bool]:
        self.messages.append([item.key for item in items])
        return await super().put(items)


def _messages(story: Callable[[SecondLevel], Awaitable[object]]) -> list[list[str]]:
    async def run() -> list[list[str]]:
        redis = _Counted()
        place = SimulatedShard("cache-shard-0", plain_shard, random.Random(1), SteadyRing("gateway"))
        clock = asyncio.get_running_loop().time
        second = SecondLevel(redis, place, prefix=lambda _: "", now=clock, clock=clock, settled_after_s=SETTLED_S)
        await second.open(await place.take())
        running = asyncio.ensure_future(second.run())
        await story(second)
        running.cancel()
        return redis.messages

    return run_virtually(run())


def _keep(second: SecondLevel, number: int) -> None:
    second.keep(f"payment:{number}", number, 1, b"value", 60.0)


def test_values_that_settle_together_are_one_message() -> None:
    """A value every 4 ms, as under load: each waits a tenth of a second more, and they leave in a few messages."""

    async def story(second: SecondLevel) -> None:
        for number in range(100):
            _keep(second, number)
            await asyncio.sleep(0.004)
        await asyncio.sleep(SETTLED_S + 0.5)

    messages = _messages(story)
    assert [key for message in messages for key in message] == [f"payment:{number}" for number in range(100)]
    assert len(messages) <= 5


@pytest.mark.parametrize(("waited_s", "sent"), [(SETTLED_S, 0), (SETTLED_S + 0.2, 1)])
def test_a_value_alone_is_sent_soon_after_it_has_settled(waited_s: float, sent: int) -> None:
    """Not before, and without another one to wake the writer."""

    async def story(second: SecondLevel) -> None:
        _keep(second, 1)
        await asyncio.sleep(waited_s)

    assert len(_messages(story)) == sent


def test_what_has_not_settled_stays_behind() -> None:
    """A message takes those that are due, and the younger ones keep their time."""

    async def story(second: SecondLevel) -> None:
        _keep(second, 1)
        await asyncio.sleep(1.0)
        _keep(second, 2)
        await asyncio.sleep(SETTLED_S - 0.5)

    assert _messages(story) == [["payment:1"]]
