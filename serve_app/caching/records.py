"""Writes of models that are written behind; where no shard has a journal, straight to the database."""

from __future__ import annotations

from collections.abc import Mapping

from actors.cache.client import CacheClient
from actors.pool.database import Database
from actors.runtime.coalescer import Coalescer
from serve_app.caching.models import Model, Strategy
from serve_app.caching.sink import Apply, Write, apply_all


class Records:
    """What the slices write behind through.

    Without a journal a write is acknowledged once it is committed: writes that come while one transaction is under way
    share the next, and the promises are the same.
    """

    def __init__(self, cache: CacheClient | None, database: Database, appliers: Mapping[str, Apply]) -> None:
        self._cache = cache
        self._database = database
        self._appliers = appliers
        self._direct = Coalescer[Write, None](self._commit, name="records", in_flight_max=1)

    async def record(self, model: Model, name: str, payload: bytes) -> None:
        """Have a write applied: when it returns it is acknowledged, and will be applied once.

        Raises OutcomeUnknown where that may be so: to repeat it may apply it twice. Any other ``ActorError``: nothing
        was done.
        """
        assert model.strategy is Strategy.WRITE_BEHIND
        if self._cache is not None:
            await self._cache.record(name, payload)
        else:
            await self._direct.submit((name, payload))

    async def _commit(self, writes: list[Write]) -> list[None]:
        async with self._database.transaction() as connection:
            await apply_all(connection, self._appliers, writes)
        return [None] * len(writes)
