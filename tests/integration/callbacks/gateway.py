"""The gateway on a real server, with a real acquirer that calls it back: in the test's own loop, without Ray."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import uvicorn
from standardwebhooks import Webhook

from serve_app.app import assemble
from serve_app.attempts.intent import Owner
from serve_app.domain.ids import Prefix, new_id, public_id
from serve_app.middleware.access_log import BatchedLines
from serve_app.processors.acquirer.callbacks import callback_body, signed_headers
from serve_app.services import Services
from tests.support.acquirer import AcquirerProcess
from tests.support.gateway_services import gateway_services, owner
from tests.support.postgres import APP_ROLE, TestPostgres

SECRET = "whsec_" + base64.b64encode(b"the acquirer's secret of a test.").decode()
PATH = "/v1/processors/acquirer/callbacks"


@dataclass(frozen=True)
class Gateway:
    """A gateway, its acquirer, a merchant and a client without a key."""

    services: Services
    acquirer: AcquirerProcess
    merchant: Owner
    client: httpx.AsyncClient
    database_url: str

    async def call_back(
        self, attempt_id: UUID, *, message_id: str = "", at: datetime | None = None, secret: str = SECRET
    ) -> httpx.Response:
        """Send a callback as the acquirer would."""
        body = callback_body(public_id(Prefix.ATTEMPT, attempt_id))
        message_id = message_id or f"msg_{new_id().hex}"
        headers = signed_headers(Webhook(secret), message_id, body, at or datetime.now(UTC))
        return await self.client.post(PATH, content=body, headers=headers)

    async def rows(self, sql: str, *args: object) -> list[Any]:
        """Return the merchant's rows; ``$1`` is the merchant."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(sql, self.merchant.merchant_id, *args))
        finally:
            await connection.close()

    async def attempts(self) -> list[Any]:
        """Return the merchant's attempts, the oldest first."""
        return await self.rows("SELECT * FROM attempts WHERE merchant_id = $1 ORDER BY id")

    async def attempt_in(self, *states: str, within_s: float = 10.0) -> Any:
        """Return the merchant's newest attempt once it is in one of these states."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self.attempts()
                if found and found[-1]["state"] in states:
                    return found[-1]
                await asyncio.sleep(0.01)

    async def decided(self, entries: int) -> None:
        """Return once the acquirer has so many entries on disk."""
        async with asyncio.timeout(20):
            while len((await asyncio.to_thread(self.acquirer.ledger))[0]) < entries:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def gateway(
    postgres: TestPostgres, folder: Path, *, calls_back: bool, timeout_s: float = 5.0, **options: Any
) -> AsyncIterator[Gateway]:
    """Serve until the end of the block; nobody sweeps for open attempts. `options` are the acquirer's."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if calls_back:
            options |= {"callback_url": base_url + PATH, "callback_secret": SECRET}
        acquirer = await asyncio.to_thread(AcquirerProcess, folder / "ledger.db", **options)
        try:
            async with gateway_services(
                postgres.url(APP_ROLE),
                processor_url=acquirer.url,
                processor_timeout_s=timeout_s,
                callback_secrets={"acquirer": SECRET},
            ) as services:
                app = assemble(services, BatchedLines(lambda _: None))
                server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
                serving = asyncio.create_task(server.serve([listener]))
                async with httpx.AsyncClient(base_url=base_url, timeout=20) as client:
                    yield Gateway(services, acquirer, owner(new_id(), new_id()), client, postgres.url())
                server.should_exit = True
                await serving
        finally:
            await asyncio.to_thread(acquirer.kill)
