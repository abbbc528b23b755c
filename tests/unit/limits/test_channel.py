"""Questions over the real channel, as they are sent between processes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from actors.cache.actor import CacheShardActor
from actors.cache.client import CacheClient
from actors.cache.limits.limiter import Limit, Limiter
from actors.cache.limits.messages import PermitAsk
from actors.cache.messages import NoSession, Welcome
from actors.cache.port import ActorPort
from actors.cache.sharding.stored import shard_names
from actors.runtime.channel import Channel
from actors.runtime.tallies import Series
from tests.unit.cache.simulated_ring import SimulatedRings
from tests.unit.cache.simulation import SimulatedShard, plain_shard

_ASK = PermitAsk("limit:a", 10, 1, 3, ((0.5, 3),), 0, 4, 0)
_LIMIT = Limit("limit:large", 2000)
_CONNECTED_WITHIN_S = 10.0


@asynccontextmanager
async def _running_shard() -> AsyncIterator[CacheShardActor]:
    """Run the only shard of a new gateway behind a real server."""
    [name] = shard_names(1)
    draw = random.Random(1)
    place = SimulatedShard(name, plain_shard, draw, SimulatedRings(draw, 1))
    place.run()
    assert place.shard is not None
    try:
        yield place.shard
    finally:
        if place.shard._server is not None:
            await place.shard._server.close()
        place.end()


class _Port(ActorPort):
    """The real way to a shard, but that nobody has to ask Ray where it is."""

    def __init__(self, name: str, shard: CacheShardActor) -> None:
        super().__init__(name, "nowhere")
        self._channel = Channel(name, shard.address)


async def _connected(shard: CacheShardActor, owner: str) -> CacheClient:
    """Return a process's client that has a session with the shard."""
    client = CacheClient(lambda name: _Port(name, shard), owner, shards=shard_names(1))
    client.start()
    async with asyncio.timeout(_CONNECTED_WITHIN_S):
        while client._routes.links[0].current(time.monotonic()) is None:
            await asyncio.sleep(0.01)
    return client


async def test_a_shard_answers_questions_of_its_sessions_alone() -> None:
    """In order; and a session is that of one process, by which its permits are told from others'."""
    async with _running_shard() as shard:
        channel = Channel("cache-shard-0", shard.address)
        try:
            welcome: Welcome = await channel.call("open_session", "process a", 1, timeout_s=5)
            answers = await channel.call("permits", welcome.session, [_ASK, _ASK._replace(key="limit:b")], timeout_s=5)
            assert [(answer.granted, answer.remaining) for answer in answers] == [(4, 3), (4, 3)]
            assert not answers[0].is_static
            [repeated] = await channel.call("permits", welcome.session, [_ASK], timeout_s=5)
            assert repeated.granted == 0
            with pytest.raises(NoSession):
                await channel.call("permits", welcome.session + 1, [_ASK], timeout_s=5)
        finally:
            channel.close()


async def test_a_process_that_ends_gives_back_and_tells_the_last_of_what_it_counted() -> None:
    """Another process has all of the limit but what was spent, and the shard's account what was counted at the end."""
    async with _running_shard() as shard:
        ending, other = await _connected(shard, "a"), await _connected(shard, "b")
        limiter, others = (Limiter(client.permits_of, processes=2) for client in (ending, other))
        ending.tell_of(lambda: {Series("returned", ()): limiter.counts.returned})
        assert all([(await limiter.take(_LIMIT)).admitted for _ in range(30)])
        await limiter.close()
        assert limiter.counts.returned > 0
        await ending.close()
        assert (await shard.snapshot()).tallies == {Series("returned", ()): limiter.counts.returned}
        had = [(await others.take(_LIMIT)).admitted for _ in range(_LIMIT.per_minute)]
        assert sum(had) == _LIMIT.per_minute - 30
        await others.close()
        await other.close()
