"""A shard whose process can be found, and a sink that keeps what it applies. Ray's workers import them from here."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from actors.cache.actor import CacheShardActor
from actors.cache.level2.journal import Journal
from actors.cache.level2.sealing import Sealer
from actors.pool.connector import Connection
from actors.pool.database import Database
from actors.runtime.client import ActorClient
from actors.runtime.spec import ActorSpec
from serve_app.caching.epochs import StoredEpochs
from serve_app.caching.sink import StoredSink, Write
from tests.support.rings import SteadyRing

MODEL = "diary"
TABLE = "CREATE TABLE diary (place bigserial PRIMARY KEY, name text NOT NULL, payload text NOT NULL)"
_INSERT = "INSERT INTO diary (name, payload) SELECT * FROM unnest($1::text[], $2::text[])"
_BATCH_MAX = 20
"""Small, so that many a kill falls between two batches, or between a batch and its removal."""


class MortalShardActor(CacheShardActor):
    """A shard that says which process it is."""

    async def pid(self) -> int:
        """Return the process id."""
        return os.getpid()


class MortalShard(ActorClient):
    """The way to it."""

    async def pid(self) -> int:
        """Return the process id of the shard that answers now."""
        found: int = await self._ask("pid", timeout_s=20.0, repeatable=True)
        return found


def mortal_shard(name: str, database_url: str, redis_url: str) -> ActorSpec:
    """Return a shard without a second level, with a journal at this Redis and a sink at this database."""
    epochs = functools.partial(StoredEpochs, functools.partial(str, database_url))
    return ActorSpec(
        name,
        MortalShardActor,
        (
            name,
            "chaos",
            1_000_000,
            epochs,
            SteadyRing,
            _no_level,
            functools.partial(str, "127.0.0.1"),
            functools.partial(_write_behind, database_url, redis_url),
        ),
    )


def _no_level() -> None:
    return None


def _write_behind(database_url: str, redis_url: str, name: str) -> tuple[Journal, StoredSink]:
    open_database = functools.partial(Database.open, database_url, name="sink", manager=None, want=1)
    journal = Journal(redis_url, Sealer(b"k" * 32), name=name, batch_max=_BATCH_MAX)
    return journal, StoredSink(open_database, name, {MODEL: _apply})


async def _apply(connection: Connection, writes: Sequence[Write]) -> None:
    await connection.execute(_INSERT, [name for name, _ in writes], [payload.decode() for _, payload in writes])
