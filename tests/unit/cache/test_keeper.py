"""The keeper of the ring: its steps, their order, and what is left for its successor."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from actors.cache.shard import LEASE_S
from actors.cache.sharding.keeper import RingKeeper
from actors.cache.sharding.membership import Membership
from actors.cache.sharding.stored import StoredRing, shard_names
from actors.runtime.errors import Unavailable
from tests.unit.cache.simulated_ring import SimulatedRings
from tests.unit.cache.virtual_time import run_virtually

Story = Callable[["_Ring"], Awaitable[None]]


class _Ring:
    """A ring of two shards, and what happens to its members."""

    def __init__(self) -> None:
        self.rings = SimulatedRings(random.Random(1), 2)
        self.events: list[tuple[float, str, int]] = []
        self.members = {name: _Member(self, name) for name in shard_names(3)}
        self.keeper = RingKeeper(self.rings, self.members.__getitem__)
        self._keeping: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Have a keeper, in place of the one before."""
        for task in self._keeping:
            task.cancel()
        self.keeper = RingKeeper(self.rings, self.members.__getitem__)
        self._keeping.append(asyncio.get_running_loop().create_task(self.keeper.run()))

    async def settle(self) -> float:
        """Wait until nothing is to be changed and all serve; return when."""
        while not self.rings.stored.settled or any(
            member.serves() != self.rings.stored.version
            for name, member in self.members.items()
            if name in self.rings.stored.current.shards
        ):
            await asyncio.sleep(0.01)
        return asyncio.get_running_loop().time()

    async def want(self, count: int) -> None:
        """Ask for so many, as an operator does who asks again where he was not heard."""
        while True:
            try:
                await self.keeper.want(count)
            except Unavailable:
                continue
            return


class _Member:
    def __init__(self, ring: _Ring, name: str) -> None:
        self._ring = ring
        self._name = name
        self._membership = Membership(name, ring.rings.stored)
        self.is_away = False
        self.starts = 0

    def serves(self) -> int:
        return self._membership.serve()

    async def follow(self, stored: StoredRing) -> int:
        if self.is_away:
            raise Unavailable(self._name, "is away", 1.0)
        self._membership.follow(stored)
        served = self._membership.serve()
        self._ring.events.append((asyncio.get_running_loop().time(), self._name, served))
        return served

    async def end_process(self) -> None:
        self.starts += 1
        self._membership = Membership(self._name, self._ring.rings.stored)
        self.is_away = False


def _play(story: Story) -> None:
    async def play() -> None:
        ring = _Ring()
        ring.start()
        await story(ring)

    run_virtually(play())


def test_a_lease_passes_between_the_last_old_owner_and_the_first_new_one() -> None:
    """And every old owner has ended before it begins."""

    async def story(ring: _Ring) -> None:
        await ring.want(3)
        await ring.settle()
        retired = max(at for at, _, served in ring.events if served == 0)
        serving = min(at for at, _, served in ring.events if served == 2)
        assert serving - retired >= LEASE_S
        assert {name for _, name, served in ring.events if served == 2} == set(shard_names(3))
        assert serving - retired < LEASE_S + 1

    _play(story)


def test_nothing_ends_before_the_new_shards_run() -> None:
    """Shards that cannot be had cost nothing but the change; another number may be asked for meanwhile."""

    async def story(ring: _Ring) -> None:
        ring.members["cache-shard-2"].is_away = True
        await ring.want(3)
        await asyncio.sleep(30)
        assert ring.rings.stored == StoredRing(1, 2, None, 3)
        assert [ring.members[name].serves() for name in shard_names(2)] == [1, 1]
        await ring.want(1)
        await ring.settle()
        assert ring.rings.stored == StoredRing(2, 1, None, 1)

    _play(story)


def test_an_old_owner_that_cannot_be_reached_is_started_anew_and_never_passed_over() -> None:
    """The next ring is in force a lease after its successor has answered."""

    async def story(ring: _Ring) -> None:
        cut_off = ring.members["cache-shard-1"]
        cut_off.is_away = True
        await ring.want(1)
        while not cut_off.starts:
            assert ring.rings.stored.version == 1
            await asyncio.sleep(0.1)
        ended = asyncio.get_running_loop().time()
        assert ended > 10
        assert await ring.settle() - ended >= LEASE_S
        assert ring.rings.stored == StoredRing(2, 1, None, 1)

    _play(story)


@pytest.mark.parametrize("dies_after_s", [0.005, 0.05, 0.3, 1.0, 2.1, 2.5])
def test_another_keeper_goes_on_where_one_has_died(dies_after_s: float) -> None:
    """Wherever that was: the change ends within a lease and a little."""

    async def story(ring: _Ring) -> None:
        await ring.want(3)
        await asyncio.sleep(dies_after_s)
        ring.start()
        began = asyncio.get_running_loop().time()
        assert await ring.settle() - began < LEASE_S + 2
        assert ring.rings.stored == StoredRing(2, 3, None, 3)

    _play(story)


def test_a_number_that_is_wanted_during_a_change_comes_after_it() -> None:
    """Of several the last."""

    async def story(ring: _Ring) -> None:
        await ring.want(3)
        await asyncio.sleep(1)
        for count in (2, 1):
            await ring.want(count)
        await ring.settle()
        assert ring.rings.stored == StoredRing(3, 1, None, 1)

    _play(story)
