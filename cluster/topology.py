"""Which actors a gateway has."""

from __future__ import annotations

from functools import partial

from actors.breaker.actor import BREAKER_BOARD_NAME, CircuitBreakerActor
from actors.cache.actor import CacheShardActor
from actors.cache.sharding.keeper_actor import RING_KEEPER_NAME, RingKeeperActor
from actors.cache.sharding.stored import SHARD_PREFIX
from actors.pool.actor import POOL_MANAGER_NAME, PoolManagerActor
from actors.runtime.spec import ActorSpec
from cluster.composition import (
    ACTOR_NAMESPACE,
    cache_epochs,
    cache_level,
    cache_rings,
    cache_write_behind,
    database_url,
    gateway_config,
    gateway_name,
    node_host,
)
from cluster.settings import Settings
from cluster.supervisor import ActorGroup
from serve_app.caching.models import REDIS_MODELS
from serve_app.logs import configure_logging
from serve_app.tasks.resolver_actor import RESOLVER_NAME, ResolverActor

SUPERVISOR_NAME = "supervisor"


def desired_actors(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return every actor that the supervisor keeps but the cache's shards, in the order in which they are needed."""
    gateway = gateway_name(settings)
    ring = (RING_KEEPER_NAME, RingKeeperActor, (gateway, ACTOR_NAMESPACE, cache_rings))
    return (
        # First, for every other process tells it of its breakers. Many processes, each with one short call at a time.
        ActorSpec(BREAKER_BOARD_NAME, CircuitBreakerActor, (configure_logging,)),
        ActorSpec(POOL_MANAGER_NAME, PoolManagerActor, (database_url, settings.connection_budget, gateway)),
        *([ActorSpec(*ring)] if settings.cache_shards > 0 else []),
        ActorSpec(RESOLVER_NAME, ResolverActor, (gateway_config,)),
    )


def cache_shards(settings: Settings) -> ActorGroup | None:
    """Return what the supervisor has to know of the cache's shards, None where nothing is cached."""
    if settings.cache_shards == 0:
        return None
    member = partial(_shard, gateway_name(settings), settings.cache_shard_bytes)
    return ActorGroup(RING_KEEPER_NAME, SHARD_PREFIX, member)


def _shard(gateway: str, bound_bytes: int, name: str) -> ActorSpec:
    arguments = (
        name,
        gateway,
        bound_bytes,
        cache_epochs,
        cache_rings,
        cache_level,
        node_host,
        cache_write_behind,
        REDIS_MODELS,
    )
    # Each process keeps one call open to hear of changes; the rest is short.
    return ActorSpec(name, CacheShardActor, arguments, max_concurrency=2000)
