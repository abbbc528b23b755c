"""Wires what a process of the gateway uses: the database, the processors and the slices' services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.runtime.clock import Clock, SystemClock
from serve_app.attempts.engine import AttemptEngine, Step
from serve_app.attempts.idempotent import IdempotentRequests
from serve_app.attempts.operations import Operations
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.repository import AttemptRepository
from serve_app.attempts.sender import Processors
from serve_app.audit.repository import AuditRepository
from serve_app.config import GatewayConfig
from serve_app.merchants.authenticator import KeyAuthenticator
from serve_app.payments.repository import PaymentRepository
from serve_app.payments.service import PaymentService
from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import Processor
from serve_app.processors.simulator import Simulator
from serve_app.refunds.repository import RefundRepository
from serve_app.refunds.service import RefundService
from serve_app.tasks.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process of the gateway works with."""

    database: Database
    processors: Processors
    owned: OwnedWork
    authenticator: KeyAuthenticator
    payments: PaymentService
    refunds: RefundService
    audit: AuditRepository
    resolver: Resolver

    @classmethod
    async def open(cls, config: GatewayConfig, *, name: str, connections: int) -> Services:
        """Connect what can be connected now; a database that is away is waited for by the requests that need it."""
        manager = PoolManagerClient(config.actor_namespace)
        database = await Database.open(config.database_url, name=name, manager=manager, want=connections)
        return wire(config, database, open_processors(config), SystemClock())

    async def drain(self, timeout_s: float) -> int:
        """Let payments in flight finish; return how many did not within the time."""
        return await self.owned.drain(timeout_s)

    async def close(self) -> None:
        """Close every connection."""
        await self.processors.close()
        await self.database.close()


def wire(
    config: GatewayConfig,
    database: Database,
    processors: Processors,
    clock: Clock,
    passing: Callable[[Step], None] = lambda _: None,
) -> Services:
    """Build the services on what is given; `passing` is told of each step of an attempt."""
    attempts = AttemptRepository(database)
    payments = PaymentRepository(database)
    refunds = RefundRepository(database)
    owned = OwnedWork(config.payments_in_flight_max)
    engine = AttemptEngine(attempts, payments, processors, owned, clock, passing=passing)
    requests = IdempotentRequests(attempts, owned, clock)
    timeout_s = config.processor_timeout_s
    operations = Operations(payments, engine, requests, clock, timeout_s)
    return Services(
        database=database,
        processors=processors,
        owned=owned,
        authenticator=KeyAuthenticator(database, config.api_key_pepper, clock, takes_live_keys=config.takes_live_keys),
        payments=PaymentService(payments, engine, requests, operations, processors, clock, timeout_s),
        refunds=RefundService(refunds, payments, operations),
        audit=AuditRepository(database),
        resolver=Resolver(attempts, payments, refunds, engine, processors, clock),
    )


def open_processors(config: GatewayConfig) -> Processors:
    """Return the configured processors; nothing is connected yet."""
    test: Processor = HttpProcessor(config.processor_url) if config.processor_url else Simulator()
    live = HttpProcessor(config.live_processor_url, name="live") if config.live_processor_url else None
    return Processors(test, live)
