"""Limits on the real shards, clients and sessions, in virtual time: calls are lost and repeated, shards die, and the
ring changes."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Awaitable, Callable

import pytest

from actors.cache.limits.limiter import Limit, Limiter
from actors.cache.limits.messages import LEASE_S, WINDOW_S
from tests.unit.cache.simulated_ring import SimulatedRing
from tests.unit.cache.simulation import SimulatedDatabase, SimulatedProcess, plain_client, plain_shard
from tests.unit.cache.virtual_time import run_virtually
from tests.unit.limits.shards import now

# Measuring which lines run takes longer than running them; what runs here has unit tests of its own.
pytestmark = pytest.mark.no_cover

_PROCESSES = 3
_STARTED_S = 3.0


class _House:
    """Processes with their limiters on one ring of two shards, and when each permit was taken."""

    def __init__(self, seed: int, loss: float) -> None:
        self.draw = random.Random(seed)
        self.ring = SimulatedRing(2, plain_shard, self.draw)
        database = SimulatedDatabase(self.draw)
        self.processes = [
            SimulatedProcess(f"p{number}", self.ring, database, plain_client, self.draw, loss)
            for number in range(_PROCESSES)
        ]
        self.limiters = [
            Limiter(process.cache.permits_of, processes=_PROCESSES, clock=now) for process in self.processes
        ]
        self.taken: list[float] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Have all of it run, and wait until sessions are there."""
        self.ring.start()
        for process in self.processes:
            process.cache.start()
        await asyncio.sleep(_STARTED_S)

    async def offer(self, limit: Limit, rate: float, seconds: float, processes: int = _PROCESSES) -> None:
        """Have requests come at random, as many a second."""
        end = now() + seconds
        while now() < end:
            await asyncio.sleep(self.draw.expovariate(rate))
            task = asyncio.ensure_future(self._take(self.limiters[self.draw.randrange(processes)], limit))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def most(self) -> int:
        """Return the most that were taken in any window."""
        self.taken.sort()
        return max(place + 1 - bisect_left(self.taken, at - WINDOW_S + 1e-9) for place, at in enumerate(self.taken))

    def shard_of(self, limit: Limit) -> str:
        """Return the name of the shard that counts a limit."""
        name: str = getattr(self.processes[0].cache.permits_of(limit.key), "name")  # noqa: B009
        return name

    async def _take(self, limiter: Limiter, limit: Limit) -> None:
        if (await limiter.take(limit)).admitted:
            self.taken.append(now())


def _run(work: Callable[[_House], Awaitable[None]], seed: int, loss: float = 0.0) -> _House:
    async def run() -> _House:
        house = _House(seed, loss)
        await house.start()
        await work(house)
        return house

    return run_virtually(run())


@pytest.mark.parametrize("limit", [Limit("limit:a", 30), Limit("limit:b", 900)])
@pytest.mark.parametrize("seed", range(2))
def test_processes_share_a_limit_through_its_shard(limit: Limit, seed: int) -> None:
    """From the first request of a new gateway on, and wherever the load goes: never above it, and all of it is had."""

    async def work(house: _House) -> None:
        await house.offer(limit, limit.per_minute / 20, 20, processes=1)
        await house.offer(limit, limit.per_minute / 10, 110)

    house = _run(work, seed)
    assert house.most() <= limit.per_minute
    assert len(house.taken) >= 2 * 0.95 * limit.per_minute


@pytest.mark.parametrize("seed", range(3))
def test_lost_and_repeated_calls_grant_nothing_twice(seed: int) -> None:
    """Three in ten: the bound of a shard that is lost now and then."""
    limit = Limit("limit:a", 300)

    async def work(house: _House) -> None:
        await house.offer(limit, 20, 150)

    house = _run(work, seed, loss=0.3)
    assert house.most() <= limit.per_minute + (_PROCESSES - 1) * limit.per_minute // _PROCESSES
    assert len(house.taken) > limit.per_minute


def test_a_shard_that_dies_leaves_static_shares_for_a_window() -> None:
    """Whoever has spent its share has nothing, the others have theirs, and after a window and a lease it is shared."""
    limit = Limit("limit:a", 300)
    share = limit.per_minute // _PROCESSES
    counts: list[int] = []

    async def work(house: _House) -> None:
        await house.offer(limit, 40, 10, processes=1)
        counts.append(len(house.taken))
        house.ring.place(house.shard_of(limit)).restart(0.5)
        await house.offer(limit, 40, 30)
        counts.append(len(house.taken))
        await asyncio.sleep(2 * WINDOW_S + LEASE_S)
        await house.offer(limit, 40, 20, processes=1)
        counts.append(len(house.taken))

    house = _run(work, 1)
    assert counts == [300, 300 + (_PROCESSES - 1) * share, 600 + (_PROCESSES - 1) * share]
    assert house.most() == limit.per_minute + (_PROCESSES - 1) * share


def test_a_key_that_moves_to_another_shard_is_static_there_first() -> None:
    """A change of the ring hands no window on, so it must not grant one twice."""
    limits = [Limit(f"limit:{number}", 60) for number in range(6)]
    first: dict[str, str] = {}
    moved: list[Limit] = []

    async def work(house: _House) -> None:
        first.update({limit.key: house.shard_of(limit) for limit in limits})
        for limit in limits:
            await house.offer(limit, 40, 3, processes=1)
        house.taken.clear()
        await house.ring.keeper.want(3)
        await asyncio.sleep(8)
        moved.extend(limit for limit in limits if house.shard_of(limit) != first[limit.key])
        for limit in moved:
            await house.offer(limit, 40, 4)

    house = _run(work, 2)
    assert moved
    # The process that has spent all of each limit has nothing more.
    assert len(house.taken) == len(moved) * (_PROCESSES - 1) * 60 // _PROCESSES
