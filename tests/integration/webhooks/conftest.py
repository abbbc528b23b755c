"""A merchant's part of a gateway: its services on a real PostgreSQL, and what the merchant has there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from starlette.types import ASGIApp

from serve_app.app import assemble
from serve_app.attempts.intent import Owner
from serve_app.domain.ids import Prefix, new_id, parse_id
from serve_app.merchants.administration import create_key
from serve_app.merchants.secrets import MERCHANT_SCOPES
from serve_app.services import Services
from serve_app.webhooks.rows import Endpoint
from tests.support.gateway_services import PEPPER, gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.task_rows import Ran, run_tasks
from tests.support.webhook_receiver import WebhookReceiver
from tests.unit.http.exchange import JSON, Exchange, Lines, ask


@dataclass
class Shop:
    """A merchant in test mode, with the services that serve it."""

    postgres: TestPostgres
    services: Services
    app: ASGIApp
    api_key: str
    owner: Owner
    pokes: list[None] = field(default_factory=list)

    async def pay(self, *, capture: bool = True) -> str:
        """Take 10.00 USD and return the payment's id."""
        answer = await self.services.payments.create(self.owner, new_payment(capture=capture), None)
        return f"pay_{answer.payment_id.hex}"

    async def endpoint(self, receiver: WebhookReceiver, *events: str) -> Endpoint:
        """Register a receiver for some types of events, or for all."""
        created, secret = await self.services.webhooks.create(self.owner, receiver.url, events or ("*",), None)
        receiver.secrets.append(secret)
        return created

    async def run_tasks(self) -> list[Ran]:
        """Run this merchant's tasks as a scheduler does, but for those that wait for their next try."""
        return await run_tasks(self.services, self.owner.merchant_id)

    async def call(self, method: str, path: str, body: bytes = b"", query: bytes = b"") -> Exchange:
        """Send a request with this merchant's key through the whole application."""
        headers = [(b"authorization", f"Bearer {self.api_key}".encode()), JSON]
        return await ask(self.app, method, path, headers=headers, body=body, query=query)

    async def deliveries(self, **query: str) -> list[dict[str, Any]]:
        """Return the delivery log, newest first."""
        text = "&".join(f"{name}={value}" for name, value in query.items()).encode()
        listed: list[dict[str, Any]] = (await self.call("GET", "/v1/webhook_deliveries", query=text)).json["data"]
        return listed

    async def execute(self, sql: str, *arguments: object) -> None:
        """Change the database as time would."""
        await self.services.database.execute(sql, *arguments)


def uuid_of(prefix: Prefix, text: str) -> UUID:
    """Return the UUID of a public id."""
    found = parse_id(prefix, text)
    assert found is not None
    return found


@pytest.fixture
async def shop(postgres: TestPostgres) -> AsyncIterator[Shop]:
    """Open a gateway's services with a new merchant."""
    key = await create_key(
        postgres.url(), PEPPER, merchant=new_id().hex, scopes=[scope.value for scope in MERCHANT_SCOPES]
    )
    pokes: list[None] = []
    async with gateway_services(postgres.url(APP_ROLE), poke=lambda: pokes.append(None)) as services:
        merchant_id = uuid_of(Prefix.MERCHANT, key.merchant_id)
        own = owner(merchant_id, uuid_of(Prefix.API_KEY, key.id))
        yield Shop(postgres, services, assemble(services, Lines()), key.api_key, own, pokes)
