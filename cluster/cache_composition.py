"""What the cache's shards need beside their ring."""

from __future__ import annotations

from actors.breaker.client import BreakerBoardClient
from actors.cache.level2.journal import Journal
from actors.cache.level2.redis_level import RedisLevel
from actors.cache.level2.sealing import Sealer, key_from_text
from actors.pool.client import PoolManagerClient
from actors.pool.clusters.membership import Reign
from actors.pool.database import Database
from cluster.composition import ACTOR_NAMESPACE, database_url, watched
from cluster.process_logs import set_up_logging
from cluster.process_reports import report_process
from cluster.redis_breakers import ToldRedisLevel
from cluster.settings import load_settings
from serve_app.caching.epochs import StoredEpochs
from serve_app.caching.sink import StoredSink
from serve_app.write_behind import APPLIERS


def cache_epochs(shard: str) -> StoredEpochs:
    """Return the epochs of a shard of that name."""
    return StoredEpochs(database_url, shard)


async def cache_reign() -> Reign:
    """Return whether this cluster is alone on its database. Raises ``ActorError``."""
    return await PoolManagerClient(ACTOR_NAMESPACE).reign()


def cache_level() -> RedisLevel | None:
    """Return the Redis that a shard of the cache uses, None where there is none. Called in the shard's running loop."""
    set_up_logging()
    report_process("cache-shard")
    settings = load_settings()
    if settings.redis_url is None or settings.sealing_key is None:
        return None
    key = key_from_text(settings.sealing_key.get_secret_value())
    url = settings.redis_url.get_secret_value()
    board = BreakerBoardClient(ACTOR_NAMESPACE)
    return ToldRedisLevel(url, Sealer(key), board, pool_size=settings.redis_pool_size)


def cache_write_behind(journal: str) -> tuple[Journal, StoredSink] | None:
    """Return the journal of that name with its sink, None where there is no Redis to keep it."""
    settings = load_settings()
    if settings.redis_url is None or settings.sealing_key is None:
        return None
    sealer = Sealer(key_from_text(settings.sealing_key.get_secret_value()))
    return (
        Journal(settings.redis_url.get_secret_value(), sealer, name=journal),
        StoredSink(_open_sink_database, journal, APPLIERS),
    )


async def _open_sink_database() -> Database:
    manager = PoolManagerClient(ACTOR_NAMESPACE)
    return watched(await Database.open(database_url(), name="cache-sink", manager=manager, want=1))
