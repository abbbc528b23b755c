"""What the monitor needs: its rules, whom it tells of alerts, what it keeps, and the actors that it asks.

All are called in the monitor's own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version

from actors.breaker.actor import BREAKER_BOARD_NAME
from actors.breaker.client import BreakerBoardClient
from actors.cache.level2.server import RedisServer
from actors.cache.messages import ShardSnapshot
from actors.cache.port import ActorPort
from actors.cache.sharding.keeper_actor import RING_KEEPER_NAME, RingKeeperClient
from actors.monitor.client import MONITOR_NAME
from actors.monitor.memory import FileMemory, Memory
from actors.monitor.reporter import Listener, Reporter
from actors.monitor.rules import Rules
from actors.monitor.sinks import LogSink, Sink, WebhookSink
from actors.optimizer.client import OPTIMIZER_NAME, QueryOptimizerClient
from actors.pool.actor import POOL_MANAGER_NAME
from actors.pool.client import PoolManagerClient
from actors.pool.replicas.actor import REPLICA_MONITOR_NAME
from actors.pool.replicas.client import ReplicaMonitorClient
from actors.scheduler.client import SCHEDULER_NAME, TaskSchedulerClient
from cluster.composition import ACTOR_NAMESPACE, database_servers
from cluster.process_logs import set_up_logging
from cluster.settings import Settings, load_settings, settings_folder
from serve_app.monitoring.collector import Collector, Probe
from serve_app.monitoring.probes import (
    BreakerFindings,
    CacheLook,
    OptimizerFindings,
    asked,
    pool_findings,
    server_findings,
    task_findings,
)
from serve_app.monitoring.process import new_instruments
from serve_app.monitoring.rules import gateway_rules

_REDIS_WITHIN_S = 1.0
_MEMORY_FILE = "monitor.json"

# Held, for a task that nobody holds may be collected.
_running: list[asyncio.Task[None] | Reporter] = []


def monitor_rules() -> Rules:
    """Return what the monitor is to make of what it is told."""
    settings = load_settings()
    return gateway_rules(settings.performance_alert_threshold, has_redis=_has_redis(settings))


def monitor_sinks() -> Sequence[Sink]:
    """Return whom it tells of alerts: the log, and a webhook where one is configured."""
    url = load_settings().alert_webhook_url
    return (LogSink(), *([WebhookSink(url.get_secret_value())] if url is not None else []))


def monitor_memory() -> Memory | None:
    """Return what it keeps alerts, silences and budgets in: a file beside the settings that the launcher wrote.

    On a cluster without a launcher, where it may start anew on another machine, nothing is kept.
    """
    folder = settings_folder()
    return FileMemory(folder / _MEMORY_FILE) if folder is not None else None


def start_collecting(task_rooms: int, monitor: Listener) -> None:
    """Set the log up, and have this process tell its monitor what it measures itself and what the other actors know,
    from now on; once, in a loop."""
    set_up_logging()
    settings = load_settings()
    instruments = new_instruments(MONITOR_NAME)
    instruments.changed("deploy", f"easypay {version('easypay')}: the monitor started")
    reporter = Reporter(instruments, monitor)
    reporter.start()
    collector = Collector(instruments, _probes(settings, task_rooms))
    _running.extend((reporter, asyncio.get_running_loop().create_task(collector.run())))


def _probes(settings: Settings, task_rooms: int) -> Sequence[Probe]:
    """Return how each actor that there is, is asked."""
    probes = [
        Probe(BREAKER_BOARD_NAME, asked(BreakerBoardClient(ACTOR_NAMESPACE).views, BreakerFindings())),
        Probe(POOL_MANAGER_NAME, asked(PoolManagerClient(ACTOR_NAMESPACE).state, pool_findings)),
        Probe(
            SCHEDULER_NAME,
            asked(TaskSchedulerClient(ACTOR_NAMESPACE).status, lambda status: task_findings(status, task_rooms)),
        ),
    ]
    if settings.cache_shards > 0:
        look = CacheLook(RingKeeperClient(ACTOR_NAMESPACE).ring, _shard, redis=_redis(settings))
        probes.append(Probe(RING_KEEPER_NAME, look))
    if settings.query_optimizer != "off":
        state = QueryOptimizerClient(ACTOR_NAMESPACE).state
        probes.append(Probe(OPTIMIZER_NAME, asked(state, OptimizerFindings())))
    if database_servers().are_many():
        monitor = ReplicaMonitorClient(ACTOR_NAMESPACE)
        probes.append(Probe(REPLICA_MONITOR_NAME, asked(lambda: monitor.view({}), server_findings)))
    return probes


def _shard(name: str) -> Callable[[], Awaitable[ShardSnapshot]]:
    return ActorPort(name, ACTOR_NAMESPACE).snapshot


def _redis(settings: Settings) -> Callable[[], Awaitable[object]] | None:
    """Return how Redis is asked whether it answers, None where there is none."""
    if settings.redis_url is None or not _has_redis(settings):
        return None
    return RedisServer(settings.redis_url.get_secret_value(), pool_size=1, deadline_s=_REDIS_WITHIN_S).identity


def _has_redis(settings: Settings) -> bool:
    return settings.cache_shards > 0 and None not in (settings.redis_url, settings.sealing_key)
