"""The gateway's services in a test's own process, on a real PostgreSQL and a real processor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from actors.monitor.instruments import Instruments
from actors.pool.database import Database
from actors.runtime.clock import SystemClock
from serve_app.attempts.engine import Step
from serve_app.attempts.intent import Owner, Requester
from serve_app.config import GatewayConfig
from serve_app.payments.service import NewPayment
from serve_app.services import Services, open_processors, open_tracing, wire

PEPPER = b"a pepper for tests, not a secret!"
WEBHOOK_KEY = b"a key for tests: 32 bytes of it."


@asynccontextmanager
async def gateway_services(
    database_url: str,
    *,
    processor_url: str | None = None,
    processor_timeout_s: float = 2.0,
    connections: int = 4,
    workers: int = 0,
    passing: Callable[[Step], None] = lambda _: None,
    poke: Callable[[], None] = lambda: None,
    instruments: Instruments | None = None,
    **settings: Any,
) -> AsyncIterator[Services]:
    """Open the services as a replica has them, but for Ray; `settings` are more of `GatewayConfig`."""
    config = GatewayConfig(
        database_url=database_url,
        api_key_pepper=PEPPER,
        actor_namespace="tests",
        processor_url=processor_url,
        processor_timeout_s=processor_timeout_s,
        workers=workers,
        webhook_key=WEBHOOK_KEY,
        webhook_allow_loopback=True,
        **settings,
    )
    database = await Database.open(database_url, name="tests", manager=None, want=connections)
    tracing = open_tracing(config, "tests")
    services = wire(
        config,
        database,
        open_processors(config),
        SystemClock(),
        passing,
        poke=poke,
        instruments=instruments,
        tracing=tracing,
    )
    try:
        yield services
        await services.drain(10)
    finally:
        await services.close()


def owner(merchant_id: UUID, key_id: UUID) -> Owner:
    """Return a merchant in test mode."""
    return Owner(merchant_id, False, Requester(key_id, "req_test"))


def new_payment(amount: int = 1000, token: str = "tok_visa", *, capture: bool = True) -> NewPayment:
    """Return a wish for a payment in USD."""
    return NewPayment(amount, "USD", token, "visa", "4242", capture, None, None, {})
