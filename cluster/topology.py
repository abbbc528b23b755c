"""Which actors a gateway has."""

from __future__ import annotations

from functools import partial

from actors.breaker.actor import BREAKER_BOARD_NAME, CircuitBreakerActor
from actors.cache.actor import CacheShardActor
from actors.cache.sharding.keeper_actor import RING_KEEPER_NAME, RingKeeperActor
from actors.cache.sharding.stored import SHARD_PREFIX
from actors.pool.actor import POOL_MANAGER_NAME, PoolManagerActor
from actors.runtime.spec import ActorSpec
from actors.scheduler.actor import TaskSchedulerActor
from actors.scheduler.client import SCHEDULER_NAME
from actors.scheduler.definition import Kind
from actors.scheduler.worker_actor import TaskWorkerActor, worker_names
from cluster.composition import (
    ACTOR_NAMESPACE,
    cache_epochs,
    cache_level,
    cache_rings,
    cache_write_behind,
    database_url,
    gateway_name,
    node_host,
    open_task_database,
    task_registry,
    task_services,
)
from cluster.settings import Settings
from cluster.supervisor import ActorGroup
from serve_app.caching.models import REDIS_MODELS
from serve_app.domain.ids import new_id
from serve_app.incident import describe_briefly
from serve_app.logs import configure_logging

SUPERVISOR_NAME = "supervisor"

TASK_ROOMS = {Kind.IO: 256, Kind.CPU: 8}
"""How many tasks a worker has at once. Those that take a CPU wait for it in Ray, where the autoscaler sees them."""


def desired_actors(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return every actor that the supervisor keeps but the cache's shards, in the order in which they are needed."""
    gateway = gateway_name(settings)
    ring = (RING_KEEPER_NAME, RingKeeperActor, (gateway, ACTOR_NAMESPACE, cache_rings))
    return (
        # First, for every other process tells it of its breakers. Many processes, each with one short call at a time.
        ActorSpec(BREAKER_BOARD_NAME, CircuitBreakerActor, (configure_logging,)),
        ActorSpec(POOL_MANAGER_NAME, PoolManagerActor, (database_url, settings.connection_budget, gateway)),
        *([ActorSpec(*ring)] if settings.cache_shards > 0 else []),
        *_tasks(settings),
    )


def cache_shards(settings: Settings) -> ActorGroup | None:
    """Return what the supervisor has to know of the cache's shards, None where nothing is cached."""
    if settings.cache_shards == 0:
        return None
    member = partial(_shard, gateway_name(settings), settings.cache_shard_bytes)
    return ActorGroup(RING_KEEPER_NAME, SHARD_PREFIX, member)


def _tasks(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return the scheduler of tasks and its workers."""
    workers = worker_names(settings.task_workers)
    scheduler = (
        task_registry,
        open_task_database,
        workers,
        ACTOR_NAMESPACE,
        settings.task_retention_days,
        new_id,
        node_host,
    )
    worker = (task_registry, task_services, TASK_ROOMS, node_host, describe_briefly)
    return (
        # Which functions there are, and how they run, is theirs as much as the code beside the actors.
        *(ActorSpec(name, TaskWorkerActor, worker, packages=("serve_app",)) for name in workers),
        ActorSpec(SCHEDULER_NAME, TaskSchedulerActor, scheduler, packages=("serve_app.tasks",)),
    )


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
