"""A gateway's operations page on real HTTP, with real sessions, database and audit, and a recorded monitor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.app import assemble, operations_of
from serve_app.audit.operators import audited
from serve_app.console.actions import ACTIONS
from serve_app.http.response import Response
from serve_app.http.server import Server
from serve_app.merchants.administration import create_key
from serve_app.middleware.access_log import BatchedLines
from serve_app.services import Services
from tests.support.gateway_services import PEPPER, gateway_services
from tests.support.ports import free_port
from tests.support.recorded_monitor import RecordedMonitor


@dataclass(frozen=True, slots=True)
class OperationsPage:
    """Where it is, and whom it lets in."""

    url: str
    admin_key: str
    merchant_key: str
    monitor: RecordedMonitor
    services: Services
    server: uvicorn.Server


@asynccontextmanager
async def operations_page(
    database_url: str, redis_url: str | None, *, port: int | None = None
) -> AsyncIterator[OperationsPage]:
    """Serve it for as long as the block lasts; the server ends as a replica's does."""
    keys = [
        await create_key(database_url, PEPPER, merchant=name, scopes=scopes)
        for name, scopes in (("operator", ("admin", "audit")), ("shop", ("payments:read", "payments:write")))
    ]
    monitor = RecordedMonitor()
    async with gateway_services(database_url, redis_url=redis_url, rate_limit_per_minute=0) as services:
        port = port or free_port()
        server = _StoppingServer(services, _config(services, monitor, port))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            assert not serving.done(), "the server did not start"
            await asyncio.sleep(0.01)
        try:
            url = f"http://127.0.0.1:{port}"
            yield OperationsPage(url, keys[0].api_key, keys[1].api_key, monitor, services, server)
        finally:
            server.should_exit = True
            await serving


async def entries_once(
    client: httpx.AsyncClient, holds: Callable[[list[dict[str, Any]]], bool], *, within_s: float = 60.0
) -> list[dict[str, Any]]:
    """Return the audit trail's newest entries once they are those, or the last that were read after `within_s`: on a
    machine that is busy an entry is written some seconds after its action.
    """
    give_up = asyncio.get_running_loop().time() + within_s
    while True:
        entries: list[dict[str, Any]] = (await client.get("/v1/audit_log")).json()["data"]
        if holds(entries) or asyncio.get_running_loop().time() > give_up:
            return entries
        await asyncio.sleep(0.1)


class _StoppingServer(Server):
    """Tells the page that it stops, as a replica's server does."""

    def __init__(self, services: Services, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: object = None) -> None:
        self._services.console.stop_streams()
        await super().shutdown(None)


def _config(services: Services, monitor: RecordedMonitor, port: int) -> uvicorn.Config:
    recorded = {operation.name: operation for operation in monitor.operations()}
    kept = [operation for operation in operations_of(services) if operation.name not in recorded]
    operations = [*kept, *(audited(operation, ACTIONS, services.operator_log) for operation in recorded.values())]
    app = assemble(services, BatchedLines(lambda _: None), operations)
    return uvicorn.Config(
        _healthy(app), host="127.0.0.1", port=port, log_level="warning", lifespan="off", access_log=False
    )


def _healthy(app: ASGIApp) -> ASGIApp:
    """Return the app with the answer that Serve gives for a replica when the ingress asks how it is."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/-/healthz":
            await Response(200, b"success", ()).send(send)
        else:
            await app(scope, receive, send)

    return served
