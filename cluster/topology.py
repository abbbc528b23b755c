"""Which actors a gateway has."""

from __future__ import annotations

from functools import partial
from typing import Any

from actors.breaker.actor import BREAKER_BOARD_NAME, CircuitBreakerActor
from actors.cache.actor import CacheShardActor
from actors.cache.sharding.keeper_actor import RING_KEEPER_NAME, RingKeeperActor
from actors.cache.sharding.stored import SHARD_PREFIX
from actors.monitor.actor import MonitorAggregatorActor
from actors.monitor.client import MONITOR_NAME
from actors.optimizer.actor import QueryOptimizerActor
from actors.optimizer.client import OPTIMIZER_NAME
from actors.optimizer.policy import Policy
from actors.optimizer.state import Mode
from actors.pool.actor import LEASE_TTL_S, POOL_MANAGER_NAME, RESERVE, PoolManagerActor
from actors.pool.clusters.register import StoredRegister
from actors.pool.replicas.actor import REPLICA_MONITOR_NAME, ReplicaMonitorActor
from actors.pool.replicas.monitor import Servers
from actors.pool.windows import WeeklyWindow
from actors.runtime.spec import ActorSpec
from actors.scheduler.actor import TaskSchedulerActor
from actors.scheduler.client import SCHEDULER_NAME
from actors.scheduler.definition import Kind
from actors.scheduler.worker_actor import TaskWorkerActor, worker_names
from cluster.cache_composition import cache_epochs, cache_level, cache_reign, cache_write_behind
from cluster.composition import (
    ACTOR_NAMESPACE,
    database_servers,
    database_url,
    node_host,
    owner_database_url,
)
from cluster.monitor_composition import monitor_memory, monitor_rules, monitor_sinks, start_collecting
from cluster.names import cluster_name
from cluster.process_logs import logged
from cluster.process_reports import start_breaker_board
from cluster.ring_composition import cache_rings
from cluster.scheduler_composition import open_task_database, task_registry
from cluster.settings import Settings
from cluster.supervisor import ActorGroup
from cluster.task_composition import task_services, task_tracer
from serve_app.caching.models import REDIS_MODELS
from serve_app.domain.ids import new_id
from serve_app.incident import describe_briefly

SUPERVISOR_NAME = "supervisor"

TASK_ROOMS = {Kind.IO: 256, Kind.CPU: 8}
"""How many tasks a worker has at once. Those that take a CPU wait for it in Ray, where the autoscaler sees them."""


def desired_actors(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return every actor that the supervisor keeps but the cache's shards, in the order in which they are needed."""
    cluster = cluster_name(settings)
    ring = (RING_KEEPER_NAME, RingKeeperActor, (cluster, ACTOR_NAMESPACE, partial(logged, cache_rings)))
    return (
        # First, for every other process tells it of its breakers. Many processes, each with one short call at a time.
        ActorSpec(BREAKER_BOARD_NAME, CircuitBreakerActor, (start_breaker_board,)),
        ActorSpec(POOL_MANAGER_NAME, PoolManagerActor, _pool(settings, cluster)),
        *_replica_monitor(settings),
        *([ActorSpec(*ring)] if settings.cache_shards > 0 else []),
        *_tasks(settings),
        *_optimizer(settings),
        # Last, for nobody waits for it.
        *_monitor(settings),
    )


def _monitor(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return the monitor of all processes, unless it is switched off."""
    if not settings.performance_monitoring_enabled:
        return ()
    arguments = (monitor_rules, monitor_sinks, monitor_memory, partial(start_collecting, TASK_ROOMS[Kind.IO]))
    # Each process has one short call open at a time, and there may be a thousand of them.
    return (
        ActorSpec(
            MONITOR_NAME, MonitorAggregatorActor, arguments,
            max_concurrency=2000, packages=("serve_app.monitoring",),
        ),
    )  # fmt: skip


def _replica_monitor(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return the monitor of the database's servers, where there is more than one."""
    assert settings.database_url is not None, "DATABASE_URL is set"
    replicas = tuple(url.get_secret_value() for url in settings.database_replica_urls)
    if not Servers(settings.database_url.get_secret_value(), replicas).are_many():
        return ()
    return (
        ActorSpec(
            REPLICA_MONITOR_NAME,
            ReplicaMonitorActor,
            (partial(logged, database_servers),),
            packages=("actors.pool.servers",),
        ),
    )


def cache_shards(settings: Settings) -> ActorGroup | None:
    """Return what the supervisor has to know of the cache's shards, None where nothing is cached."""
    if settings.cache_shards == 0:
        return None
    member = partial(_shard, cluster_name(settings), settings.cache_shard_bytes)
    return ActorGroup(RING_KEEPER_NAME, SHARD_PREFIX, member)


def _pool(settings: Settings, cluster: str) -> tuple[Any, ...]:
    """Return the arguments of the pool manager."""
    schedule = tuple(map(WeeklyWindow.parse, settings.database_maintenance_windows))
    budget = settings.connection_budget
    return partial(logged, database_url), budget, cluster, LEASE_TTL_S, 1, schedule, RESERVE, StoredRegister


def _tasks(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return the scheduler of tasks and its workers."""
    workers = worker_names(settings.task_workers)
    scheduler = (
        task_registry,
        open_task_database,
        workers,
        ACTOR_NAMESPACE,
        new_id,
        node_host,
    )
    worker = (task_registry, task_services, TASK_ROOMS, node_host, describe_briefly, task_tracer)
    return (
        # Which functions there are, and how they run, is theirs as much as the code beside the actors.
        *(ActorSpec(name, TaskWorkerActor, worker, packages=("serve_app",), spread=True) for name in workers),
        ActorSpec(SCHEDULER_NAME, TaskSchedulerActor, scheduler, packages=("serve_app.tasks",)),
    )


def _optimizer(settings: Settings) -> tuple[ActorSpec, ...]:
    """Return the query optimizer, unless it is switched off."""
    if settings.query_optimizer == "off":
        return ()
    interval_s = 60.0 * settings.query_optimizer_interval_minutes
    arguments = (partial(logged, owner_database_url), Mode(settings.query_optimizer), interval_s, Policy())
    return (ActorSpec(OPTIMIZER_NAME, QueryOptimizerActor, arguments),)


def _shard(cluster: str, bound_bytes: int, name: str) -> ActorSpec:
    arguments = (
        name,
        cluster,
        bound_bytes,
        cache_epochs,
        cache_rings,
        cache_level,
        node_host,
        cache_write_behind,
        REDIS_MODELS,
        cache_reign,
    )
    # Each process keeps one call open to hear of changes; the rest is short.
    return ActorSpec(name, CacheShardActor, arguments, max_concurrency=2000, spread=True)
