"""The Redis beneath a gateway: killed in part, and away as a whole for as long as a test wants."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Protocol

from cluster.data_dir import DataDir
from cluster.embedded import redis
from cluster.state import StateFile
from tests.support.redis_servers import TestRedis, TestRedisCluster

_NODE_AWAY_MIN_S, _NODE_AWAY_MAX_S = 1.5, 3.0


class RedisBeneath(Protocol):
    """What a test does to it. Whoever takes it away brings it back."""

    async def kill_one(self, draw: random.Random) -> int:
        """Kill one of its processes by SIGKILL and return which; it is, or will be, started again, without its data."""
        ...

    async def take_away(self) -> None:
        """Have none of it answer from now on."""
        ...

    async def bring_back(self) -> None:
        """Have all of it answer again."""
        ...


class EmbeddedBeneath:
    """The embedded Redis of the gateway of a data directory: the launcher starts it as soon as it has ended.

    So it is away by standing still: it takes connections, for the system does that, and answers nothing.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def kill_one(self, _draw: random.Random) -> int:
        return self._signal(signal.SIGKILL)

    async def take_away(self) -> None:
        self._signal(signal.SIGSTOP)

    async def bring_back(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> int:
        """Signal the server's process: it writes its title over its environment, so it does not show its mark."""
        state = StateFile(DataDir(self._data_dir).state_file).read()
        assert state is not None, "the launcher runs"
        pid = int(state["children"][redis.NAME]["pid"])
        os.kill(pid, number)
        return pid


class ClusterBeneath:
    """A cluster whose nodes the test itself starts: away they refuse connections."""

    def __init__(self, cluster: TestRedisCluster) -> None:
        self._cluster = cluster

    async def kill_one(self, draw: random.Random) -> int:
        node = draw.choice(self._cluster.nodes)
        pid = node.pid
        node.kill()
        await asyncio.sleep(draw.uniform(_NODE_AWAY_MIN_S, _NODE_AWAY_MAX_S))
        await self._start(node)
        return pid

    async def take_away(self) -> None:
        for node in self._cluster.nodes:
            node.kill()

    async def bring_back(self) -> None:
        await asyncio.gather(*map(self._start, self._cluster.nodes))

    async def _start(self, node: TestRedis) -> None:
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(self._cluster.wait_for, node, "ok")
