"""Wires what a process of the gateway uses: the database, the processors and the slices' services."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from actors.breaker.client import BreakerBoardClient, BreakerSync
from actors.breaker.local import ProcessBreakers
from actors.cache.client import CacheClient
from actors.cache.limits.limiter import Limiter
from actors.cache.port import ActorPort
from actors.cache.sharding.keeper_actor import RingKeeperClient
from actors.cache.sharding.stored import shard_names
from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.pool.gate import POLICY as DATABASE_POLICY
from actors.pool.gate import Gate
from actors.pool.lease import holder_name
from actors.runtime.clock import Clock, SystemClock
from actors.runtime.lag import LoopLagProbe
from actors.runtime.retry_budget import RetryBudget
from actors.runtime.tallies import Counters, Tallies
from actors.scheduler.client import TaskQueue, TaskSchedulerClient
from actors.scheduler.table import TaskTable
from serve_app.admission.admission import Admission
from serve_app.attempts.engine import AttemptEngine, Step
from serve_app.attempts.idempotent import IdempotentRequests
from serve_app.attempts.operations import Operations
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.repository import AttemptRepository
from serve_app.attempts.sender import Processors
from serve_app.audit.repository import AuditRepository
from serve_app.caching.changes import Changes
from serve_app.caching.reader import CachedReads
from serve_app.caching.records import Records
from serve_app.callbacks.service import ProcessorCallbacks
from serve_app.callbacks.signatures import CallbackSignatures
from serve_app.compression.compressor import Compressor
from serve_app.config import LIVE_PROCESSOR, TEST_PROCESSOR, GatewayConfig
from serve_app.expiry.authorizations import AuthorizationExpiry
from serve_app.ledger_checks.check import LedgerCheck
from serve_app.merchants.authenticator import KeyAuthenticator
from serve_app.merchants.usage import KeyUsage
from serve_app.middleware.rate_limit import RateLimits
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

DATABASE_BREAKER = "postgresql"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process of the gateway works with."""

    database: Database
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
    resolver: Resolver
    tasks: TaskQueue
    task_table: TaskTable
    task_scheduler: TaskSchedulerClient
    webhooks: WebhookService
    webhook_tasks: WebhookTasks
    callback_signatures: CallbackSignatures
    callbacks: ProcessorCallbacks
    authorization_expiry: AuthorizationExpiry
    key_retention: KeyRetention
    ledger_check: LedgerCheck
    breaker_board: BreakerBoardClient
    breaker_sync: BreakerSync
    loop_lag: LoopLagProbe
    compressor: Compressor | None
    tallies: Callable[[], Tallies]

    @classmethod
    async def open(cls, config: GatewayConfig, *, name: str, connections: int) -> Services:
        """Connect what can be connected now; a database that is away is waited for by the requests that need it."""
        manager = PoolManagerClient(config.actor_namespace)
        breakers = ProcessBreakers(holder_name(name))
        gate = Gate(breakers.add(DATABASE_BREAKER, DATABASE_POLICY))
        database = await Database.open(config.database_url, name=name, manager=manager, want=connections, gate=gate)
        processors = open_processors(config, breakers)
        services = wire(config, database, processors, SystemClock(), cache=open_cache(config, name), breakers=breakers)
        services.loop_lag.start()
        services.breaker_sync.start()
        return services

    async def drain(self, timeout_s: float) -> int:
        """Let payments in flight finish; return how many did not within the time."""
        return await self.owned.drain(timeout_s)

    async def close(self) -> None:
        """Write the last uses of API keys, and close every connection."""
        await self.limits.close()
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
        await self.database.close()


def wire(
    config: GatewayConfig,
    database: Database,
    processors: Processors,
    clock: Clock,
    passing: Callable[[Step], None] = lambda _: None,
    cache: CacheClient | None = None,
    breakers: ProcessBreakers | None = None,
    poke: Callable[[], None] | None = None,
) -> Services:
    """Build the services on what is given; `passing` is told of each step of an attempt, and `poke`, in place of the
    scheduler, of each commit that enqueued tasks.
    """
    board = BreakerBoardClient(config.actor_namespace)
    changes = Changes(cache)
    tasks = TaskQueue(database, config.actor_namespace)
    poke = poke or tasks.poke
    attempts = AttemptRepository(database, poke)
    payments = PaymentRepository(database, poke)
    refunds = RefundRepository(database)
    owned = OwnedWork(config.payments_in_flight_max)
    engine = AttemptEngine(attempts, payments, processors, owned, changes, clock, passing=passing)
    reads = CachedReads(cache)
    key_usage = KeyUsage(Records(cache if config.has_journals else None, database, APPLIERS))
    cached_payments = CachedPayments(payments, reads)
    requests = IdempotentRequests(attempts, owned, changes, clock)
    timeout_s = config.processor_timeout_s
    loop_lag = LoopLagProbe()
    operations = Operations(payments, engine, requests, clock, timeout_s)
    limits = RateLimits(
        Limiter(cache.permits_of if cache is not None else None, processes=config.replicas),
        merchant_per_minute=config.rate_limit_per_minute,
        unknown_per_minute=config.rate_limit_unauthenticated_per_minute,
        address_per_minute=config.rate_limit_address_per_minute,
    )
    compressor = Compressor(loop_lag.read) if config.compression_enabled else None

    admission = Admission.of(
        clock, lambda: loop_lag.read().average_s, queue_max=config.queue_max, workers=config.workers
    )

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
        return {**limits.tallies(), **admission.tallies(), **of_compression, **of_background}

    if cache is not None:
        cache.tell_of(tallies)
    return Services(
        database=database,
        cache=cache,
        ring=RingKeeperClient(config.actor_namespace) if cache is not None else None,
        processors=processors,
        owned=owned,
        authenticator=KeyAuthenticator(
            database, reads, key_usage, config.api_key_pepper, clock, takes_live_keys=config.takes_live_keys
        ),
        key_usage=key_usage,
        limits=limits,
        admission=admission,
        payments=payment_service,
        cached_payments=cached_payments,
        refunds=RefundService(CachedRefunds(refunds, reads), cached_payments, operations),
        audit=AuditRepository(database, reads),
        tasks=tasks,
        task_table=TaskTable(database),
        task_scheduler=TaskSchedulerClient(config.actor_namespace),
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
        breaker_board=board,
        breaker_sync=BreakerSync(breakers or ProcessBreakers("alone"), board),
        loop_lag=loop_lag,
        compressor=compressor,
        tallies=tallies,
    )


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
