"""The epochs of cache shards, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from actors.cache.epochs import Epoch
from actors.pool.connector import Connection, Connector
from actors.pool.faults import DRIVER_ERRORS, RESOURCE, RETRY_AFTER_S, describe
from actors.runtime.errors import Unavailable

_TAKE = """
INSERT INTO cache_epochs (shard, incarnation, namespace, redis) VALUES ($1, 1, 1, '')
ON CONFLICT (shard) DO UPDATE SET incarnation = cache_epochs.incarnation + 1
RETURNING incarnation, namespace, redis, reign
"""
_MOVE = """
UPDATE cache_epochs SET namespace = namespace + 1, redis = $2 WHERE shard = $1
RETURNING incarnation, namespace, redis, reign
"""
_BEGIN_REIGN = """
UPDATE cache_epochs SET reign = $2 WHERE shard = $1 RETURNING incarnation, namespace, redis, reign
"""


class StoredEpochs:
    """The epochs of one shard. It connects for each call: they are rare, and the pool's budget leaves room for them."""

    def __init__(self, database_url: Callable[[], str], shard: str) -> None:
        self._database_url = database_url
        self._shard = shard

    async def take(self) -> Epoch:
        """Begin an incarnation. When repeated, one number was for nothing. Raises ``Unavailable``."""
        return await self._ask(_TAKE)

    async def move(self, redis: str) -> Epoch:
        """Leave the namespace, for ever, for a new one on these servers. When repeated, one number was for nothing.
        Raises ``Unavailable``.
        """
        return await self._ask(_MOVE, redis)

    async def begin_reign(self, number: int) -> None:
        """Note the reign in which the namespace is filled from now on. Safe to repeat. Raises ``Unavailable``."""
        await self._ask(_BEGIN_REIGN, number)

    async def _ask(self, sql: str, *arguments: str | int) -> Epoch:
        connection: Connection = await Connector(self._database_url()).connect("easypay-cache-shard")
        try:
            return Epoch(*await connection.fetchrow(sql, self._shard, *arguments))
        except (OSError, *DRIVER_ERRORS) as error:
            raise Unavailable(RESOURCE, describe(error), RETRY_AFTER_S) from error
        finally:
            connection.terminate()
