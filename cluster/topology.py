"""Which actors a gateway has."""

from __future__ import annotations

from actors.cache.actor import CacheShardActor, shard_names
from actors.pool.actor import POOL_MANAGER_NAME, PoolManagerActor
from actors.runtime.spec import ActorSpec
from cluster.composition import (
    cache_epochs,
    cache_level,
    cache_write_behind,
    database_url,
    gateway_config,
    gateway_name,
    node_host,
)
from cluster.settings import Settings
from serve_app.caching.models import REDIS_MODELS
from serve_app.tasks.resolver_actor import RESOLVER_NAME, ResolverActor

SUPERVISOR_NAME = "supervisor"


def desired_actors(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return every actor that the supervisor keeps, in the order in which they are needed."""
    return (
        ActorSpec(
            POOL_MANAGER_NAME,
            PoolManagerActor,
            (database_url, settings.connection_budget, gateway_name(settings)),
        ),
        *(
            # Each process keeps one call open to hear of changes; the rest is short.
            ActorSpec(name, CacheShardActor, _shard_arguments(name, settings), max_concurrency=2000)
            for name in shard_names(settings.cache_shards)
        ),
        ActorSpec(RESOLVER_NAME, ResolverActor, (gateway_config,)),
    )


def _shard_arguments(name: str, settings: Settings) -> tuple[object, ...]:
    return (
        name,
        gateway_name(settings),
        settings.cache_shard_bytes,
        cache_epochs,
        cache_level,
        node_host,
        cache_write_behind,
        REDIS_MODELS,
    )
