"""Streams of events through the ingress."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx

from tests.integration.ingress.conftest import Ingress
from tests.integration.ingress.replica import Replica
from tests.support.operations_page import operations_page
from tests.support.postgres import TestPostgres

_TIMEOUT_S = 10
_LONGER_S = 12


async def test_a_stream_outlives_the_timeouts(tmp_path: Path, postgres: TestPostgres, replica: Replica) -> None:
    """For it is never silent so long; nothing of it is held back; when its replica stops it ends."""
    async with operations_page(postgres.url(), None) as page:
        replica_port, replica.port = replica.port, int(page.url.rpartition(":")[2])
        folder = tmp_path / "node"
        folder.mkdir()
        ingress = Ingress(folder, replica)
        ingress.write_config()
        replica.port = replica_port
        try:
            await ingress.start(ingress.policy(server_timeout_s=_TIMEOUT_S, client_timeout_s=_TIMEOUT_S))
            headers = {"authorization": f"Bearer {page.admin_key}"}
            async with (
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{ingress.port}", headers=headers, timeout=30) as client,
                asyncio.timeout(60),
                client.stream("GET", "/ops/events") as answer,
            ):
                assert answer.status_code == 200
                started, overviews = time.monotonic(), 0
                lines = answer.aiter_lines()
                while time.monotonic() - started < _LONGER_S:
                    overviews += await anext(lines) == "event: overview"
                assert overviews >= 3
                page.server.should_exit = True
                async for _ in lines:
                    pass
        finally:
            await ingress.stop()
