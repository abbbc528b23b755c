"""PostgreSQL restarts under load: 503 while it is away, recovery by itself, nothing acknowledged lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections import Counter
from contextlib import suppress

import aiohttp
import asyncpg
import psutil
import pytest

from cluster.data_dir import DataDir
from tests.e2e.gateway import RunningGateway, logged_incidents
from tests.support.acquirer import AcquirerProcess
from tests.support.books import compare

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.parametrize("kind", ["acquirer"], indirect=True, scope="package"),
]

_CLIENTS, _NEWCOMERS = 20, 5
"""Clients whose payment is at the acquirer wait for the server to come back; newcomers find it away."""
_BEFORE_S, _AWAY_S, _AFTER_S = 4.0, 6.0, 14.0
# The launcher's pause before the next start doubles with each death: after six seconds of them it is about three.
_BACK_WITHIN_S = 8.0
_FINAL_WITHIN_S = 30.0


def _postmaster(gateway: RunningGateway) -> psutil.Process:
    """Return the server process of this gateway's data directory."""
    pid = (DataDir(gateway.data_dir).postgres / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
    return psutil.Process(int(pid))


class _Client:
    """Pays again and again, and notes every answer with the time it came."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.answers: list[tuple[float, int, bool]] = []
        self.paid: dict[str, int] = {}

    async def pay(self, until: float, begin: asyncio.Event | None = None) -> None:
        """Pay until that time of the loop, from an event on."""
        if begin is not None:
            await begin.wait()
        loop = asyncio.get_running_loop()
        body = {"amount": 500, "currency": "USD", "payment_method": "tok_visa"}
        while loop.time() < until:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            async with self._http.post("/v1/payments", json=body, headers=headers) as answer:
                content = await answer.read()
            self.answers.append((loop.time(), answer.status, "Retry-After" in answer.headers))
            if answer.status == 201:
                self.paid[json.loads(content)["id"]] = 500
            elif answer.status == 503:
                await asyncio.sleep(0.2)


async def _stop_for_a_while(gateway: RunningGateway, away: asyncio.Event) -> None:
    """Hold the server's main process back from being started again by stopping it with SIGQUIT, a crash, repeatedly.

    The event tells of the first crash."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _AWAY_S
    while loop.time() < until:
        # Between two of its lives there is no process, or no whole file.
        with suppress(OSError, psutil.Error, IndexError, ValueError):
            os.kill(_postmaster(gateway).pid, signal.SIGQUIT)
            away.set()
        await asyncio.sleep(0.3)


async def _run(gateway: RunningGateway) -> None:
    headers = {"Authorization": f"Bearer {gateway.api_key}"}
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with aiohttp.ClientSession(gateway.url, headers=headers, timeout=aiohttp.ClientTimeout(total=35)) as http:
        clients = [_Client(http) for _ in range(_CLIENTS)]
        newcomers = [_Client(http) for _ in range(_NEWCOMERS)]
        until = started + _BEFORE_S + _AWAY_S + _AFTER_S
        away = asyncio.Event()
        paying = [asyncio.create_task(client.pay(until)) for client in clients]
        paying += [asyncio.create_task(client.pay(until, away)) for client in newcomers]
        clients += newcomers
        await asyncio.sleep(_BEFORE_S)
        await _stop_for_a_while(gateway, away)
        back_at = loop.time()
        await asyncio.gather(*paying)
    answers = [answer for client in clients for answer in client.answers]
    statuses = Counter(status for _, status, _ in answers)
    late = Counter(status for at, status, _ in answers if at > back_at + _BACK_WITHIN_S)
    print(f"answers {dict(statuses)}, once it was back {dict(late)}")
    assert set(statuses) <= {201, 202, 503}, logged_incidents(gateway.data_dir)
    assert statuses[503] > 0
    assert all(has_retry_after for _, status, has_retry_after in answers if status == 503)
    assert set(late) == {201}
    await _check(gateway, {payment: amount for client in clients for payment, amount in client.paid.items()})


async def _check(gateway: RunningGateway, paid: dict[str, int]) -> None:
    database = await asyncpg.connect(gateway.facts["database_url"])
    rows = await database.fetch("SELECT id, amount_captured FROM payments")
    stored = {f"pay_{row['id'].hex}": row["amount_captured"] for row in rows}
    assert {payment: stored.get(payment) for payment in paid} == paid
    async with asyncio.timeout(_FINAL_WITHIN_S):
        query = "SELECT count(*) FROM attempts WHERE state IN ('started', 'unknown')"
        while await database.fetchval(query):
            await asyncio.sleep(0.2)
    await database.close()


@pytest.mark.timeout(240)
def test_postgresql_restarts_under_load(gateway: RunningGateway, acquirer: AcquirerProcess) -> None:
    """The server crashes several times within six seconds and is started again by the launcher."""
    asyncio.run(_run(gateway))
    print(asyncio.run(compare(gateway.facts["database_url"], acquirer)))
