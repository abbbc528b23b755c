"""Minutes as any other: load that swings and bursts, cards that are declined, clients that err. Nobody is alerted."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest

from tests.chaos.clients import client_of
from tests.chaos.seeds import printed_seed
from tests.e2e.gateway import RunningGateway, logged_incidents, running_gateway
from tests.support.acquirer import AcquirerProcess
from tests.support.polling import eventually

_SECONDS = float(os.environ.get("EASYPAY_TEST_NOISE_SECONDS", "0"))
"""For how long; the project's own mark is 600."""
_RATE_PER_S = float(os.environ.get("EASYPAY_TEST_RATE", "40"))
"""Requests a second on average; the default is about a tenth of what two cores can do."""
_SWING_S, _SWING = 120.0, 0.5
_BURST_S, _BURST, _BURSTS_PER_S = 3.0, 2.0, 1 / 40
_LOOK_EVERY_S = 1.0
_BAD = {"poor", "critical"}
_STARTED_WITHIN_S = 60.0
"""A start takes the whole machine, and the gateway says so."""
# What comes beside payments that are taken, by its part of all requests.
_READ, _LIST, _DECLINED, _INVALID, _UNKNOWN = 0.25, 0.05, 0.06, 0.02, 0.02

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(_SECONDS + 300)]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Run a gateway with every alert as it is by default, before an acquirer that takes 30 ms."""
    acquirer = AcquirerProcess(tmp_path_factory.mktemp("acquirer") / "ledger.db", latency_ms=30, seed=7)
    try:
        with running_gateway("--replicas", "2", RATE_LIMIT_PER_MINUTE="0", PROCESSOR_URL=acquirer.url) as running:
            yield running
    finally:
        acquirer.kill()


class _Clients:
    """Send what merchants send, each request as a task of its own."""

    def __init__(self, http: aiohttp.ClientSession, draw: random.Random) -> None:
        self._http = http
        self._draw = draw
        self._paid: list[str] = []
        self.answers: Counter[int] = Counter()

    async def once(self) -> None:
        """Make one request."""
        kind = self._draw.random()
        if kind < _READ and self._paid:
            await self._ask("GET", f"/v1/payments/{self._draw.choice(self._paid)}")
        elif (kind := kind - _READ) < _LIST:
            await self._ask("GET", "/v1/payments?limit=20")
        elif (kind := kind - _LIST) < _DECLINED:
            await self._pay("tok_declined", 5000)
        elif (kind := kind - _DECLINED) < _INVALID:
            await self._pay("tok_visa", -1)
        elif (kind := kind - _INVALID) < _UNKNOWN:
            await self._ask("GET", "/v1/payments/pay_unknown")
        else:
            paid = await self._pay("tok_visa", int(self._draw.lognormvariate(8, 1)) + 1)
            self._paid = [*self._paid[-999:], paid["id"]]

    async def _pay(self, method: str, amount: int) -> dict[str, Any]:
        body = {"amount": amount, "currency": "EUR", "payment_method": method}
        return await self._ask("POST", "/v1/payments", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with self._http.request(method, path, **options) as answer:
            self.answers[answer.status] += 1
            told: dict[str, Any] = await answer.json()
            return told


async def _load(clients: _Clients, draw: random.Random) -> None:
    """Let requests come at random moments, at a rate that swings and doubles for some seconds now and then."""
    loop = asyncio.get_running_loop()
    began = now = loop.time()
    burst_until = began
    async with asyncio.TaskGroup() as requests:
        while now < began + _SECONDS:
            rate = _RATE_PER_S * (1 + _SWING * math.sin(2 * math.pi * (now - began) / _SWING_S))
            if draw.random() < _BURSTS_PER_S / rate:
                burst_until = now + _BURST_S
            now += draw.expovariate(rate * (_BURST if now < burst_until else 1))
            await asyncio.sleep(max(0.0, now - loop.time()))
            requests.create_task(clients.once())


async def _watch(gateway: RunningGateway, levels: Counter[str], raised: dict[str, str]) -> None:
    """Look each second how the gateway finds itself, and what has been raised."""
    admin = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
    async with aiohttp.ClientSession(gateway.url, headers=admin) as http:
        while True:
            async with http.get("/ops/api/overview") as answer:
                assert answer.status == 200, await answer.text()
                level = (await answer.json())["level"]
                levels[level["level"]] += 1
                if level["level"] in _BAD:
                    print(f"{time.strftime('%H:%M:%S')} {level}")
            async with http.get("/ops/api/alerts") as answer:
                for alert in (await answer.json())["alerts"]:
                    if alert["state"] != "pending" and alert["id"] not in raised:
                        raised[alert["id"]] = f"{alert['name']}: {alert['reason']}"
                        print(f"{time.strftime('%H:%M:%S')} {raised[alert['id']]}")
            await asyncio.sleep(_LOOK_EVERY_S)


def _level(gateway: RunningGateway) -> str:
    admin = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
    overview = httpx.get(f"{gateway.url}/ops/api/overview", headers=admin, timeout=20).json()
    level: str = overview["level"]["level"]
    return level


def test_nobody_is_alerted_of_what_is_normal(noisy: RunningGateway) -> None:
    """Neither for a moment, and the level is never a bad one."""
    draw = random.Random(printed_seed())
    eventually(lambda: _level(noisy), lambda level: level not in _BAD, within_s=_STARTED_WITHIN_S)
    levels: Counter[str] = Counter()
    raised: dict[str, str] = {}

    async def run() -> Counter[int]:
        async with client_of(noisy) as http:
            clients = _Clients(http, draw)
            watching = asyncio.create_task(_watch(noisy, levels, raised))
            await _load(clients, draw)
            assert not watching.done(), watching
            watching.cancel()
            return clients.answers

    answers = asyncio.run(run())
    print(f"{answers.total()} requests in {_SECONDS:.0f} s: {dict(answers)}; levels by second: {dict(levels)}")
    assert raised == {}
    assert not levels.keys() & _BAD
    assert answers[201] > _SECONDS
    assert answers.keys() <= {200, 201, 402, 404, 422}, logged_incidents(noisy.data_dir)
