"""Payments at a steady rate, whatever becomes of those before: each is asked for once, and its answer is noted."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.clients import client_of
from tests.e2e.gateway import RunningGateway

RATE_PER_S = float(os.environ.get("EASYPAY_TEST_RATE", "60"))
"""A third of the knee of the machine at hand; the default suits two slow cores that others use too."""
_ORDER = {"amount": 1250, "currency": "USD", "payment_method": "tok_visa", "capture": True}
_OPEN_MAX = 2000


@dataclass(slots=True)
class Answers:
    """What came of payments: how many got each answer, and, for those that failed, what it was and when, in seconds."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[float, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    @property
    def asked(self) -> int:
        """How many payments were asked for."""
        return self.counts.total()


class SteadyPayments:
    """One merchant's payments; a context in which they go on."""

    def __init__(self, gateway: RunningGateway, rate_per_s: float = RATE_PER_S) -> None:
        self._gateway = gateway
        self._rate_per_s = rate_per_s
        self.answers = Answers()

    async def __aenter__(self) -> SteadyPayments:
        self._http = client_of(self._gateway)
        self._began = asyncio.get_running_loop().time()
        self._paying = asyncio.create_task(self._pay_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._paying.cancel()
        await asyncio.wait([self._paying])
        await self._http.close()

    async def until_asked(self, count: int) -> None:
        """Wait until so many have been answered in all."""
        while self.answers.asked < count:
            assert not self._paying.done(), self._paying
            await asyncio.sleep(0.1)

    async def end(self) -> Answers:
        """Ask for no more, wait for the answers to those that are under way, and return what came of all."""
        self._paying.cancel()
        await asyncio.wait([self._paying])
        return self.answers

    async def _pay_on(self) -> None:
        loop = asyncio.get_running_loop()
        number = 0
        open_payments: set[asyncio.Task[None]] = set()
        try:
            while True:
                number += 1
                open_payments.add(task := asyncio.create_task(self._pay(number)))
                task.add_done_callback(open_payments.discard)
                assert len(open_payments) < _OPEN_MAX, "the gateway does not answer any more"
                await asyncio.sleep(max(0.0, self._began + number / self._rate_per_s - loop.time()))
        finally:
            await asyncio.gather(*open_payments)

    async def _pay(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        key = f"steady-{self._began:.3f}-{number}"
        try:
            async with self._http.post("/v1/payments", json=_ORDER, headers={"Idempotency-Key": key}) as answer:
                body = await answer.text()
                outcome = str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome, body = type(error).__name__, str(error)
        ended = loop.time()
        self.answers.counts[outcome] += 1
        self.answers.slowest_s = max(self.answers.slowest_s, ended - began)
        if outcome != "201":
            self.answers.keys.append(key)
            self.answers.failures.append((round(ended - self._began, 2), f"{outcome} {body[:200]}"))
