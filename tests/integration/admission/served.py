"""The gateway's application on a real server in the test's own loop: HTTP and PostgreSQL, without Ray."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

import httpx
import uvicorn

from serve_app.app import assemble
from serve_app.merchants.administration import create_key
from serve_app.merchants.secrets import MERCHANT_SCOPES
from serve_app.middleware.access_log import BatchedLines
from serve_app.services import Services
from tests.support.gateway_services import PEPPER, gateway_services
from tests.support.postgres import APP_ROLE, TestPostgres


@dataclass(frozen=True)
class Served:
    """A server that is ready, with a merchant's client."""

    port: int
    services: Services
    client: httpx.AsyncClient
    api_key: str

    async def pay(self, token: str = "tok_visa", **headers: str) -> httpx.Response:
        """Ask for a payment of 10.00 USD."""
        body = {"amount": 1000, "currency": "USD", "payment_method": token}
        return await self.client.post("/v1/payments", json=body, headers=headers)

    async def payments(self) -> list[dict[str, object]]:
        """Return the merchant's payments, the newest first."""
        listed: list[dict[str, object]] = (await self.client.get("/v1/payments")).json()["data"]
        return listed

    async def waiting(self, count: int) -> None:
        """Return once so many requests wait for their turn."""
        async with asyncio.timeout(5):
            while self.services.admission.figures().waiting != count:
                await asyncio.sleep(0.005)

    async def in_flight(self, count: int) -> None:
        """Return once so many places are taken at the processor of test payments."""
        async with asyncio.timeout(5):
            while self.services.admission.figures().in_flight["processor_test"] != count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def served(postgres: TestPostgres, *, workers: int) -> AsyncIterator[Served]:
    """Serve with so many workers until the end of the block."""
    issued = await create_key(
        postgres.url(), PEPPER, merchant=uuid.uuid4().hex, scopes=[scope.value for scope in MERCHANT_SCOPES]
    )
    async with gateway_services(postgres.url(APP_ROLE), processor_timeout_s=5.0, workers=workers) as services:
        lines = BatchedLines(lambda _: None)
        config = uvicorn.Config(assemble(services, lines), log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = listener.getsockname()[1]
            serving = asyncio.create_task(server.serve([listener]))
            headers = {"Authorization": f"Bearer {issued.api_key}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as client:
                yield Served(port, services, client, issued.api_key)
            server.should_exit = True
            await serving
        lines.flush()
