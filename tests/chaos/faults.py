"""Faults that a gateway suffers one after the other, each kind once in every round, in the order that a seed gives."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from tests.chaos.killer import REPLICA, SHARD, Killer
from tests.chaos.redis_beneath import RedisBeneath
from tests.chaos.replicas import replica_urls

_STALL_S = 3.0
"""Longer than the lease of what a process holds near."""
_VISIT_S = 0.3
"""How long a visit takes to reach the sockets of a stalled process."""
_PAUSE_MIN_S, _PAUSE_MAX_S = 1.0, 2.5
_REDIS_USED_AFTER_S = 2.0
"""About so long after it is back a shard tries it again."""
_REPLICAS = 2


class Fault(StrEnum):
    """What can happen to one process of a gateway."""

    SHARD_KILLED = "shard killed"
    REPLICA_KILLED = "replica killed"
    REPLICA_STALLED = "replica stalled"
    REDIS_KILLED = "redis killed"


class Faults:
    """Makes them happen to the gateway of a data directory, and knows when. Times are the running loop's.

    `visit` is called with the URL of a replica that is stalled, a moment before it goes on. What is asked of it then
    waits in its sockets: it is the first that the process serves, out of what it held when it was stopped.
    """

    def __init__(self, data_dir: Path, redis: RedisBeneath, seed: int, visit: Callable[[str], None]) -> None:
        self._data_dir = data_dir
        self._redis = redis
        self._visit = visit
        self._killer = Killer(data_dir, seed)
        self._random = random.Random(seed)
        self.counts: Counter[Fault] = Counter()
        self.replicas_killed_at: list[float] = []
        self.redis_away: list[tuple[float, float]] = []

    async def suffer(self, until: float, is_enough: Callable[[], bool]) -> None:
        """Let a fault happen every few seconds until the loop's time `until`, and on until each kind has happened and
        it is enough: a replica that was killed is back in two seconds or in ten."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            for fault in self._random.sample(list(Fault), len(Fault)):
                await asyncio.sleep(self._pause_s(until - loop.time()))
                await self._until_all_serve()
                if loop.time() >= until and len(self.counts) == len(Fault) and is_enough():
                    return
                pid = await self._strike(fault)
                self.counts[fault] += 1
                print(f"{loop.time() - started:6.2f} s: {fault} (process {pid})")

    def _pause_s(self, left_s: float) -> float:
        """Return how long to wait for the next one: less where time runs short for kinds that have not happened yet."""
        pause_s = self._random.uniform(_PAUSE_MIN_S, _PAUSE_MAX_S)
        missing = len(Fault) - len(self.counts)
        return min(pause_s, max(0.0, left_s) / (2 * missing)) if missing else pause_s

    async def _strike(self, fault: Fault) -> int:
        """Let it happen to a process, and return which."""
        match fault:
            case Fault.SHARD_KILLED:
                return self._kill(await self._find(SHARD))
            case Fault.REDIS_KILLED:
                return await self._kill_redis()
            case Fault.REPLICA_KILLED:
                replicas = await self._find(REPLICA)
                self.replicas_killed_at.append(asyncio.get_running_loop().time())
                return self._kill(replicas)
            case Fault.REPLICA_STALLED:
                return await self._stall(self._random.choice(await self._find(REPLICA)))

    async def _until_all_serve(self) -> None:
        """Wait until no replica is missing: without any, nobody could answer."""
        while len(await asyncio.to_thread(replica_urls, self._data_dir)) < _REPLICAS:
            await asyncio.sleep(0.2)

    async def _find(self, title: str) -> list[int]:
        return sorted(await asyncio.to_thread(self._killer.find, title))

    async def _kill_redis(self) -> int:
        loop = asyncio.get_running_loop()
        at = loop.time()
        pid = await self._redis.kill_one(self._random)
        self.redis_away.append((at, loop.time() + _REDIS_USED_AFTER_S))
        return pid

    def _kill(self, pids: list[int]) -> int:
        pid = self._random.choice(pids)
        os.kill(pid, signal.SIGKILL)
        return pid

    async def _stall(self, pid: int) -> int:
        url = (await asyncio.to_thread(replica_urls, self._data_dir))[pid]
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(_STALL_S - _VISIT_S)
            self._visit(url)
            await asyncio.sleep(_VISIT_S)
        finally:
            # Ray may have given it up meanwhile.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return pid
