"""The ring of simulated shards: where it is stored, the keeper that changes it, and a supervisor that follows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from actors.cache.sharding.keeper import RingKeeper
from actors.cache.sharding.stored import StoredRing, shard_names
from actors.runtime.errors import Unavailable

if TYPE_CHECKING:
    from tests.unit.cache.simulation import MakeShard, SimulatedShard

_TRAVEL_S = 0.002
_SUPERVISED_EVERY_S = 0.2

MakeKeeper = Callable[["SimulatedRing"], RingKeeper]


def plain_keeper(ring: SimulatedRing) -> RingKeeper:
    """Make a keeper as it is."""
    return RingKeeper(ring.rings, ring.member)


class SimulatedRings:
    """Keeps the ring as the database does: each step takes effect at once, if it still is the next."""

    def __init__(self, draw: random.Random, count: int) -> None:
        self._draw = draw
        self.stored = StoredRing(1, count, None, count)

    async def read(self) -> StoredRing:
        await self._travel()
        stored = self.stored
        await self._travel()
        return stored

    async def want(self, count: int) -> StoredRing:
        return await self._store(lambda stored: stored._replace(wanted=count))

    async def begin(self, version: int, count: int) -> StoredRing:
        def begun(stored: StoredRing) -> StoredRing:
            is_next = stored.version == version and stored.changing_to is None and stored.shards != count
            return stored._replace(changing_to=count) if is_next else stored

        return await self._store(begun)

    async def activate(self, version: int) -> StoredRing:
        def ended(stored: StoredRing) -> StoredRing:
            if stored.version != version or stored.changing_to is None:
                return stored
            return StoredRing(version + 1, stored.changing_to, None, stored.wanted)

        return await self._store(ended)

    async def _store(self, change: Callable[[StoredRing], StoredRing]) -> StoredRing:
        await self._travel()
        self.stored = change(self.stored)
        stored = self.stored
        await self._travel()
        return stored

    async def _travel(self) -> None:
        await asyncio.sleep(self._draw.expovariate(1 / _TRAVEL_S))
        if self._draw.random() < 0.02:
            raise Unavailable("database", "the connection was lost", 1.0)


class SimulatedMember:
    """A shard as the keeper reaches it: calls are lost, repeated and late."""

    def __init__(self, place: SimulatedShard, draw: random.Random) -> None:
        self._place = place
        self._draw = draw

    async def follow(self, stored: StoredRing) -> int:
        await asyncio.sleep(self._draw.expovariate(1 / _TRAVEL_S))
        shard = self._place.shard
        if shard is None or self._place.is_cut_off:
            raise Unavailable(self._place.name, "is away", 1.0)
        fate = self._draw.random()
        if fate < 0.05:
            raise Unavailable(self._place.name, "lost on the way", 1.0)
        if fate < 0.2:
            # It comes once more, and perhaps when it is old news.
            asyncio.get_running_loop().call_later(
                self._draw.uniform(0, 5), lambda: asyncio.ensure_future(_quietly(shard.follow(stored)))
            )
        return await self._place.answer(shard.follow(stored))

    async def end_process(self) -> None:
        if self._place.shard is not None:
            self._place.restart(self._draw.uniform(0.05, 1))


async def _quietly(call: Awaitable[object]) -> None:
    try:
        await call
    except (Unavailable, asyncio.CancelledError):
        return  # Nobody hears the answer.


class SimulatedRing:
    """The shards that there are, by name, with their keeper and their supervisor; either may be dead for a while."""

    def __init__(
        self, count: int, make_shard: MakeShard, draw: random.Random, make_keeper: MakeKeeper = plain_keeper
    ) -> None:
        self._draw = draw
        self._make_shard = make_shard
        self._make_keeper = make_keeper
        self._working: list[asyncio.Task[None]] = []
        self._places: dict[str, SimulatedShard] = {}
        self.rings = SimulatedRings(draw, count)
        self.keeper = make_keeper(self)
        for name in shard_names(count):
            self.place(name).run()

    def place(self, name: str) -> SimulatedShard:
        """Return the place of a shard, where none may run."""
        from tests.unit.cache.simulation import SimulatedShard

        if name not in self._places:
            self._places[name] = SimulatedShard(name, self._make_shard, self._draw, self.rings)
        return self._places[name]

    def member(self, name: str) -> SimulatedMember:
        """Return the keeper's way to a shard."""
        return SimulatedMember(self.place(name), self._draw)

    def running(self) -> list[SimulatedShard]:
        """Return the places of those that are supposed to run."""
        return [place for place in self._places.values() if place.is_wanted]

    def start(self) -> None:
        """Have the ring be kept and the shards supervised."""
        loop = asyncio.get_running_loop()
        self._working = [loop.create_task(self.keeper.run()), loop.create_task(self._supervise())]

    def kill_keeper(self, away_s: float) -> None:
        """End the keeper, wherever it is in a change; another comes after a while."""
        keeping, supervising = self._working
        if not keeping.cancelled():
            keeping.cancel()
            asyncio.get_running_loop().call_later(away_s, self._start_keeper, supervising)

    async def stop(self) -> None:
        """End both."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    def _start_keeper(self, supervising: asyncio.Task[None]) -> None:
        self.keeper = self._make_keeper(self)
        self._working = [asyncio.get_running_loop().create_task(self.keeper.run()), supervising]

    async def _supervise(self) -> None:
        while True:
            members = self.rings.stored.members
            await asyncio.sleep(self._draw.expovariate(1 / _SUPERVISED_EVERY_S))
            for name in members:
                self.place(name).run()
            for place in self.running():
                if place.name not in members:
                    place.end()
