"""One cache shard in the test's process, behind its real server, and clients of it as of several processes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.cache.actor import CacheShardActor
from actors.cache.client import CacheClient
from actors.cache.port import ActorPort
from actors.cache.sharding.stored import shard_names
from actors.runtime.channel import Channel
from tests.unit.cache.simulated_ring import SimulatedRings
from tests.unit.cache.simulation import SimulatedShard, plain_shard

_CONNECTED_WITHIN_S = 10.0


class _Port(ActorPort):
    """The real way to a shard, but that nobody has to ask Ray where it is."""

    def __init__(self, name: str, shard: CacheShardActor) -> None:
        super().__init__(name, "nowhere")
        self._channel = Channel(name, shard.address)


@asynccontextmanager
async def local_caches(*owners: str) -> AsyncIterator[list[CacheClient]]:
    """Run the only shard of a gateway behind its real server, and a client of each process."""
    [name] = shard_names(1)
    draw = random.Random(1)
    place = SimulatedShard(name, plain_shard, draw, SimulatedRings(draw, 1))
    place.run()
    shard = place.shard
    assert shard is not None
    clients = [CacheClient(lambda name: _Port(name, shard), owner, shards=shard_names(1)) for owner in owners]
    try:
        for client in clients:
            client.start()
        async with asyncio.timeout(_CONNECTED_WITHIN_S):
            while any(client._routes.links[0].current(time.monotonic()) is None for client in clients):
                await asyncio.sleep(0.01)
        yield clients
    finally:
        for client in clients:
            await client.close()
        if shard._server is not None:
            await shard._server.close()
        place.end()
