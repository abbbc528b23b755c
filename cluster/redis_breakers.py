"""A shard's Redis whose breakers the cluster hears of."""

from __future__ import annotations

from actors.breaker.client import Board, BreakerSync
from actors.breaker.local import ProcessBreakers
from actors.cache.level2.redis_level import RedisLevel
from actors.cache.level2.sealing import Sealer
from actors.pool.lease import holder_name

REDIS_BREAKER = "redis"


class ToldRedisLevel(RedisLevel):
    """Tells the board of the breakers of its nodes from its making, within a running loop, until it is closed.

    Each node has a breaker of its own, and what one shard sees of a node is not held against the others: only what an
    operator forces comes back from the board.
    """

    def __init__(self, url: str, sealer: Sealer, board: Board, *, pool_size: int) -> None:
        super().__init__(url, sealer, prefix="", pool_size=pool_size)
        breakers = ProcessBreakers(holder_name("cache-shard"))
        breakers.show(REDIS_BREAKER, self.server)
        self._telling = BreakerSync(breakers, board)
        self._telling.start()

    async def close(self) -> None:
        """Close all connections and tell nothing more. Repeatable."""
        await self._telling.close()
        await super().close()
