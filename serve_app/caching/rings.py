"""The ring of cache shards, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.cache.sharding.stored import StoredRing
from actors.pool.connector import Connection, Connector
from actors.pool.faults import DRIVER_ERRORS, RESOURCE, RETRY_AFTER_S, describe
from actors.runtime.errors import Unavailable

_COLUMNS = "version, shards, changing_to, wanted"
# Who has no ring yet may have cached under another one, or by other rules: nothing of that is read again.
_CONFIGURE = f"""
WITH ring AS (
    INSERT INTO cache_rings (gateway, version, shards, wanted, configured) VALUES ($1, 1, $2, $2, $2)
    ON CONFLICT (gateway) DO UPDATE SET
        wanted = CASE cache_rings.configured WHEN $2 THEN cache_rings.wanted ELSE $2 END,
        configured = $2
    RETURNING {_COLUMNS}, xmax = 0 AS is_new
), left_behind AS (
    UPDATE cache_epochs SET namespace = namespace + 1, redis = ''
    WHERE starts_with(shard, $1 || '/') AND (SELECT is_new FROM ring)
)
SELECT {_COLUMNS} FROM ring
"""
_READ = f"SELECT {_COLUMNS} FROM cache_rings WHERE gateway = $1"
_WANT = f"UPDATE cache_rings SET wanted = $2 WHERE gateway = $1 RETURNING {_COLUMNS}"
_BEGIN = f"""
UPDATE cache_rings SET changing_to = $3
WHERE gateway = $1 AND version = $2 AND changing_to IS NULL AND shards <> $3
RETURNING {_COLUMNS}
"""
_ACTIVATE = f"""
UPDATE cache_rings SET version = version + 1, shards = changing_to, changing_to = NULL
WHERE gateway = $1 AND version = $2 AND changing_to IS NOT NULL
RETURNING {_COLUMNS}
"""
_SWITCH_OFF = "UPDATE cache_epochs SET namespace = namespace + 1, redis = '' WHERE starts_with(shard, $1 || '/')"


class StoredRings:
    """The ring of one gateway. It connects for each call: they are rare, and the pool's budget leaves room for them."""

    def __init__(self, database_url: Callable[[], str], gateway: str) -> None:
        self._database_url = database_url
        self._gateway = gateway

    async def configure(self, configured: int) -> StoredRing:
        """Take the number of shards of the settings; return the ring, of so many where there was none.

        Where it is another number than at the last call, that many are wanted from now on; where it is the same, what
        was wanted since is kept. Safe to repeat. Raises ``Unavailable``.
        """
        return await self._ask(_CONFIGURE, configured)

    async def read(self) -> StoredRing:
        """Return the ring."""
        return await self._ask(_READ)

    async def want(self, count: int) -> StoredRing:
        """Have so many shards be wanted."""
        return await self._ask(_WANT, count)

    async def begin(self, version: int, count: int) -> StoredRing:
        """Begin a change, unless another was quicker."""
        return await self._ask(_BEGIN, version, count)

    async def activate(self, version: int) -> StoredRing:
        """End the change that began at this version."""
        return await self._ask(_ACTIVATE, version)

    async def switch_off(self) -> None:
        """Have no shard read again what Redis holds: from now on changes are made that no shard is told of.

        Safe to repeat. Raises ``Unavailable``.
        """
        await self._fetch(_SWITCH_OFF)

    async def _ask(self, sql: str, *arguments: int) -> StoredRing:
        """Run a statement and return the ring: what it returned, or else as it is after it."""
        row = await self._fetch(sql, *arguments) or await self._fetch(_READ)
        if row is None:
            raise Unavailable("the ring of shards", "there is none yet", RETRY_AFTER_S)
        return StoredRing(*row)

    async def _fetch(self, sql: str, *arguments: int) -> Any:
        connection: Connection = await Connector(self._database_url()).connect("easypay-cache-ring")
        try:
            return await connection.fetchrow(sql, self._gateway, *arguments)
        except (OSError, *DRIVER_ERRORS) as error:
            raise Unavailable(RESOURCE, describe(error), RETRY_AFTER_S) from error
        finally:
            connection.terminate()
