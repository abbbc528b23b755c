"""Wires what a process of the gateway uses: the database, the processors and the slices' services."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from actors.breaker.client import BreakerBoardClient, BreakerSync
from actors.breaker.local import ProcessBreakers
from actors.cache.client import CacheClient
from actors.cache.limits.limiter import Limiter
from actors.cache.port import ActorPort
from actors.cache.sharding.keeper_actor import RingKeeperClient
from actors.cache.sharding.stored import shard_names
from actors.monitor.client import MonitorClient
from actors.monitor.instruments import Instruments
from actors.optimizer.client import QueryOptimizerClient
from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.pool.gate import POLICY as DATABASE_POLICY
from actors.pool.gate import Gate
from actors.pool.lease import holder_name
from actors.pool.replicas.client import ReplicaMonitorClient
from actors.pool.replicas.monitor import Servers
from actors.pool.replicas.process import ProcessServers
from actors.pool.replicas.router import RouterPolicy
from actors.runtime.clock import Clock, SystemClock
from actors.runtime.lag import LoopLagProbe
from actors.runtime.retry_budget import RetryBudget
from actors.runtime.tallies import Counters, Tallies
from actors.scheduler.client import TaskQueue, TaskSchedulerClient
from actors.scheduler.table import TaskTable
from serve_app.admission.admission import Admission
from serve_app.attempts.engine import AttemptEngine, Step
from serve_app.attempts.idempotent import IdempotentRequests
from serve_app.attempts.meter import AttemptMeter, Stage, Unmeasured
from serve_app.attempts.operations import Operations
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.repository import AttemptRepository
from serve_app.attempts.sender import Processors
from serve_app.audit.operators import OperatorLog
from serve_app.audit.repository import AuditRepository
from serve_app.caching.changes import Changes
from serve_app.caching.lists import ListReads
from serve_app.caching.reader import CachedReads
from serve_app.caching.records import Records
from serve_app.callbacks.service import ProcessorCallbacks
from serve_app.callbacks.signatures import CallbackSignatures
from serve_app.compression.compressor import Compressor
from serve_app.config import LIVE_PROCESSOR, TEST_PROCESSOR, GatewayConfig
from serve_app.console.console import Console, open_sessions
from serve_app.expiry.authorizations import AuthorizationExpiry
from serve_app.ledger_checks.check import LedgerCheck
from serve_app.logs import configure_logging
from serve_app.maintenance.policy import horizon_rules, maintenance_policy
from serve_app.maintenance.service import DatabaseMaintenance
from serve_app.merchants.authenticator import KeyAuthenticator
from serve_app.merchants.usage import KeyUsage
from serve_app.middleware.rate_limit import RateLimits
from serve_app.monitoring.attempts import AttemptMetrics
from serve_app.monitoring.process import ProcessReporter, monitor_route, new_instruments
from serve_app.monitoring.replica import measure
from serve_app.payments.cached import CachedPayments
from serve_app.payments.repository import PaymentRepository
from serve_app.payments.service import PaymentService
from serve_app.processors.guarded import Guarded, processor_policy
from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import Processor
from serve_app.processors.simulator import Simulator
from serve_app.refunds.cached import CachedRefunds
from serve_app.refunds.repository import RefundRepository
from serve_app.refunds.service import RefundService
from serve_app.retention.keys import KeyRetention
from serve_app.tasks.resolver import Resolver
from serve_app.webhooks.service import WebhookService
from serve_app.webhooks.wiring import WebhookTasks, wire_webhooks
from serve_app.write_behind import APPLIERS

if TYPE_CHECKING:
    from serve_app.tracing.exporter import Tracing

DATABASE_BREAKER = "postgresql"
CONNECTIONS_LEAST = 2
"""What a process in use has leased at least: a payment's statement does not wait for a reader's."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process of the gateway works with."""

    database: Database
    servers: ProcessServers | None
    replica_monitor: ReplicaMonitorClient | None
    cache: CacheClient | None
    ring: RingKeeperClient | None
    processors: Processors
    owned: OwnedWork
    authenticator: KeyAuthenticator
    key_usage: KeyUsage
    limits: RateLimits
    admission: Admission
    payments: PaymentService
    cached_payments: CachedPayments
    refunds: RefundService
    audit: AuditRepository
    operator_log: OperatorLog
    console: Console
    resolver: Resolver
    tasks: TaskQueue
    task_table: TaskTable
    task_scheduler: TaskSchedulerClient
    pool_manager: PoolManagerClient
    optimizer: QueryOptimizerClient
    webhooks: WebhookService
    webhook_tasks: WebhookTasks
    callback_signatures: CallbackSignatures
    callbacks: ProcessorCallbacks
    authorization_expiry: AuthorizationExpiry
    key_retention: KeyRetention
    ledger_check: LedgerCheck
    maintenance: DatabaseMaintenance
    breaker_board: BreakerBoardClient
    breaker_sync: BreakerSync
    loop_lag: LoopLagProbe
    compressor: Compressor | None
    tallies: Callable[[], Tallies]
    monitor: MonitorClient
    instruments: Instruments | None
    reporter: ProcessReporter | None
    tracing: Tracing | None = None

    @classmethod
    async def open(cls, config: GatewayConfig, *, name: str, connections: int) -> Services:
        """Connect what can be connected now; a database that is away is waited for by the requests that need it."""
        manager = PoolManagerClient(config.actor_namespace)
        breakers = ProcessBreakers(holder_name(name))
        gate = Gate(breakers.add(DATABASE_BREAKER, DATABASE_POLICY))
        database = await Database.open(
            config.database_url,
            name=name,
            manager=manager,
            want=connections,
            least=min(CONNECTIONS_LEAST, connections),
            gate=gate,
        )
        processors = open_processors(config, breakers)
        services = wire(
            config,
            database,
            processors,
            SystemClock(),
            cache=open_cache(config, name),
            breakers=breakers,
            servers=await open_servers(config, database, name),
            instruments=new_instruments(name) if config.monitoring_enabled else None,
            tracing=open_tracing(config, name),
        )
        services.loop_lag.start()
        services.breaker_sync.start()
        if services.reporter is not None:
            services.reporter.start()
        return services

    async def drain(self, timeout_s: float) -> int:
        """Let payments in flight finish; return how many did not within the time."""
        self.console.stop_streams()
        return await self.owned.drain(timeout_s)

    async def close(self) -> None:
        """Write the last uses of API keys, and close every connection."""
        if self.reporter is not None:
            await self.reporter.close()
        await self.limits.close()
        await self.console.close()
        await self.operator_log.close()
        await self.breaker_sync.close()
        self.loop_lag.stop()
        if self.compressor is not None:
            self.compressor.close()
        await self.key_usage.close()
        if self.cache is not None:
            await self.cache.close()
        await self.webhook_tasks.close()
        await self.processors.close()
        self.tasks.close()
        if self.servers is not None:
            await self.servers.close()
        await self.database.close()
        if self.tracing is not None:
            await self.tracing.close()


def wire(
    config: GatewayConfig,
    database: Database,
    processors: Processors,
    clock: Clock,
    passing: Callable[[Step], None] = lambda _: None,
    cache: CacheClient | None = None,
    breakers: ProcessBreakers | None = None,
    poke: Callable[[], None] | None = None,
    servers: ProcessServers | None = None,
    instruments: Instruments | None = None,
    tracing: Tracing | None = None,
) -> Services:
    """Build the services on what is given; `passing` is told of each step of an attempt, and `poke`, in place of the
    scheduler, of each commit that enqueued tasks. Without `instruments` nothing is measured.
    """
    monitor = MonitorClient(config.actor_namespace)
    meter = AttemptMetrics(instruments) if instruments is not None else Unmeasured()
    board = BreakerBoardClient(config.actor_namespace)
    changes = Changes(cache)
    tasks = TaskQueue(database, config.actor_namespace)
    poke = poke or tasks.poke
    attempts = AttemptRepository(database, poke)
    reads = CachedReads(cache)
    replicas = servers.reads if servers is not None else None
    lists = ListReads(database, reads, replicas)
    payments = PaymentRepository(database, poke, lists)
    refunds = RefundRepository(database, lists)
    owned = OwnedWork(config.payments_in_flight_max)
    engine = AttemptEngine(attempts, payments, processors, owned, changes, clock, passing=passing, meter=meter)
    key_usage = KeyUsage(Records(cache if config.has_journals else None, database, APPLIERS))
    cached_payments = CachedPayments(payments, reads)
    requests = IdempotentRequests(attempts, owned, changes, clock)
    timeout_s = config.processor_timeout_s
    loop_lag = LoopLagProbe()
    operations = Operations(payments, engine, requests, clock, timeout_s)
    limits = wire_limits(config, cache)
    compressor = Compressor(loop_lag.read) if config.compression_enabled else None
    admission = wire_admission(config, clock, loop_lag, meter)
    webhooks, webhook_tasks = wire_webhooks(
        database,
        changes,
        clock,
        key=config.webhook_key,
        allow_loopback=config.webhook_allow_loopback,
        poke=poke,
        draw=random.random,
    )
    payment_service = PaymentService(
        payments, engine, requests, operations, processors, cached_payments, changes, clock, timeout_s
    )
    resolver = Resolver(attempts, payments, refunds, engine, processors, clock)
    callbacks = ProcessorCallbacks(attempts, resolver, owned, clock)
    counters = Counters()

    def tallies() -> Tallies:
        of_compression = compressor.counts.tallies() if compressor is not None else {}
        of_background = {**callbacks.tallies(), **counters.tallies()}
        of_replicas = replicas.tallies() if replicas is not None else {}
        return {**limits.tallies(), **admission.tallies(), **of_compression, **of_background, **of_replicas}

    if cache is not None:
        cache.tell_of(tallies)
    if instruments is not None:
        measure(
            instruments,
            loop_lag=loop_lag,
            admission=admission,
            queue_max=config.queue_max,
            limits=limits,
            pool=database.pool,
            processors=processors,
            cache=cache,
        )
    authenticator = KeyAuthenticator(
        database, reads, key_usage, config.api_key_pepper, clock, takes_live_keys=config.takes_live_keys
    )
    return Services(
        database=database,
        servers=servers,
        replica_monitor=ReplicaMonitorClient(config.actor_namespace) if servers is not None else None,
        cache=cache,
        ring=RingKeeperClient(config.actor_namespace) if cache is not None else None,
        processors=processors,
        owned=owned,
        authenticator=authenticator,
        key_usage=key_usage,
        limits=limits,
        admission=admission,
        payments=payment_service,
        cached_payments=cached_payments,
        refunds=RefundService(CachedRefunds(refunds, reads), cached_payments, operations),
        audit=AuditRepository(lists, reads),
        operator_log=OperatorLog(database, changes, clock),
        console=Console(open_sessions(config.redis_url, config.api_key_pepper), authenticator, gateway=config.gateway),
        tasks=tasks,
        task_table=TaskTable(database, lists),
        task_scheduler=TaskSchedulerClient(config.actor_namespace),
        pool_manager=PoolManagerClient(config.actor_namespace),
        optimizer=QueryOptimizerClient(config.actor_namespace),
        webhooks=webhooks,
        webhook_tasks=webhook_tasks,
        resolver=resolver,
        callback_signatures=CallbackSignatures(config.callback_secrets),
        callbacks=callbacks,
        authorization_expiry=AuthorizationExpiry(
            database, payment_service, clock, timedelta(days=config.authorization_lifetime_days), counters
        ),
        key_retention=KeyRetention(database, clock, timedelta(hours=config.idempotency_key_hours), counters),
        ledger_check=LedgerCheck(database, clock, counters),
        maintenance=wire_maintenance(config, database, counters),
        breaker_board=board,
        breaker_sync=BreakerSync(breakers or ProcessBreakers("alone"), board),
        loop_lag=loop_lag,
        compressor=compressor,
        tallies=tallies,
        monitor=monitor,
        instruments=instruments,
        reporter=_reporter(instruments, config),
        tracing=tracing,
    )


def wire_limits(config: GatewayConfig, cache: CacheClient | None) -> RateLimits:
    """Return the limits of requests, whose permits the cache's shards lease, where there are any."""
    return RateLimits(
        Limiter(cache.permits_of if cache is not None else None, processes=config.replicas),
        merchant_per_minute=config.rate_limit_per_minute,
        unknown_per_minute=config.rate_limit_unauthenticated_per_minute,
        address_per_minute=config.rate_limit_address_per_minute,
    )


def wire_admission(config: GatewayConfig, clock: Clock, loop_lag: LoopLagProbe, meter: AttemptMeter) -> Admission:
    """Return the gate before the work, which tells the meter how long requests waited at it."""
    return Admission.of(
        clock,
        lambda: loop_lag.read().average_s,
        queue_max=config.queue_max,
        workers=config.workers,
        waited=lambda seconds: meter.took(Stage.ADMISSION, seconds),
    )


def _reporter(instruments: Instruments | None, config: GatewayConfig) -> ProcessReporter | None:
    if instruments is None:
        return None
    route = monitor_route(config.actor_namespace, partial(configure_logging, config.log_level))
    return ProcessReporter(instruments, route)


def open_tracing(config: GatewayConfig, name: str) -> Tracing | None:
    """Return the way out for this process's spans, None where nothing is exported."""
    if config.tracing is None:
        return None
    # Here, for where nothing is exported OpenTelemetry's SDK is not loaded.
    from serve_app.tracing.exporter import Tracing

    return Tracing(config.tracing, process=name)


async def open_servers(config: GatewayConfig, database: Database, name: str) -> ProcessServers | None:
    """Return this process's part in a database of several servers, None where there is one."""
    servers = Servers(config.database_url, config.replica_urls)
    if not servers.are_many():
        return None
    return await ProcessServers.open(
        servers,
        database,
        ReplicaMonitorClient(config.actor_namespace),
        name=name,
        connections=config.replica_connections,
        policy=RouterPolicy(lag_max_s=config.replica_lag_max_s),
    )


def wire_maintenance(config: GatewayConfig, database: Database, counters: Counters) -> DatabaseMaintenance:
    """Return the maintenance of the gateway's own database."""
    owner_url = config.database_owner_url or config.database_url
    rules = horizon_rules(config.horizon_max_s, (config.database_url, owner_url), config.cluster)
    policy = maintenance_policy(config.task_retention_days)
    return DatabaseMaintenance(database, owner_url, policy, rules, counters, config.maintenance_mode)


def open_cache(config: GatewayConfig, name: str) -> CacheClient | None:
    """Return this process's part of the cache, None where it is switched off."""
    if config.cache_shards == 0:
        return None
    cache = CacheClient(
        lambda shard: ActorPort(shard, config.actor_namespace),
        holder_name(name),
        shards=shard_names(config.cache_shards),
        near_bytes=config.near_cache_bytes,
    )
    cache.start()
    return cache


def open_processors(config: GatewayConfig, breakers: ProcessBreakers | None = None) -> Processors:
    """Return the configured processors, each behind a breaker of its own; nothing is connected yet.

    The breakers are shared with the cluster by `breakers`, or with nobody.
    """
    shared = breakers or ProcessBreakers("alone")

    def guarded(open_one: Callable[[Callable[[], bool]], Processor]) -> Guarded:
        budget = RetryBudget()
        processor = open_one(lambda: budget.allows(time.monotonic()))
        breaker = shared.add(f"processor:{processor.name}", processor_policy(config.processor_timeout_s))
        return Guarded(processor, breaker, budget, timeout_s=config.processor_timeout_s)

    test_url, live_url = config.processor_url, config.live_processor_url
    test = guarded(lambda may: HttpProcessor(test_url, TEST_PROCESSOR, may_repeat=may) if test_url else Simulator())
    live = guarded(lambda may: HttpProcessor(live_url, LIVE_PROCESSOR, may_repeat=may)) if live_url else None
    return Processors(test, live)
