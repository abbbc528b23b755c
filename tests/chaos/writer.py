"""A client that captures, refunds and changes payments, and notes what the gateway acknowledged and when."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.chaos.reader import Failure, refunded_of
from tests.support.history import History, Seen

_GIVE_UP_S = 60.0
_PAUSE_MAX_S = 0.5
_CAPTURE_SHARE, _REFUND_SHARE = 0.15, 0.4
AMOUNT = 1_000_000
"""So large that refunds of some minor units never use it up."""


@dataclass(slots=True)
class Order:
    """A payment and what the clients know of it: what was acknowledged, and whether a capture has been asked for."""

    payment_id: str
    captured: bool
    capturing: bool = False
    refunded: int = 0


class Writer:
    """One of some clients. A request whose outcome it was not told it repeats with the same key until it is."""

    def __init__(self, http: aiohttp.ClientSession, name: str, seed: int, history: History) -> None:
        self._http = http
        self._name = name
        self._random = random.Random(seed)
        self._history = history
        self.answers: Counter[str] = Counter()
        self.refused: list[str] = []
        self.unexpected: list[str] = []

    async def write_all(self, orders: Sequence[Order], done: asyncio.Event) -> None:
        """Change payments at random until the event."""
        while not done.is_set():
            await self._write(self._random.choice(orders))
            await asyncio.sleep(self._random.uniform(0, _PAUSE_MAX_S))

    async def _write(self, order: Order) -> None:
        chosen = self._random.random()
        if chosen < _CAPTURE_SHARE and not order.captured and not order.capturing:
            order.capturing = True
            order.captured = await self._change(order, "POST", "/capture", {"amount": AMOUNT})
        elif chosen < _CAPTURE_SHARE + _REFUND_SHARE and order.captured:
            await self._refund(order)
        else:
            await self._change(order, "PATCH", "", {"description": f"Order {self._random.randint(1, 9999)}"})

    async def _change(self, order: Order, method: str, path: str, body: dict[str, Any]) -> bool:
        """Say whether it was acknowledged."""
        began = asyncio.get_running_loop().time()
        payment = await self._call(method, f"/v1/payments/{order.payment_id}{path}", body)
        if payment is not None:
            self._acknowledged(order.payment_id, began, payment["version"])
        return payment is not None

    async def _refund(self, order: Order) -> None:
        began = asyncio.get_running_loop().time()
        refund = await self._call(
            "POST", f"/v1/payments/{order.payment_id}/refunds", {"amount": self._random.randint(1, 99)}
        )
        if refund is not None and refund["status"] == "succeeded":
            order.refunded += refund["amount"]
            self._acknowledged(refunded_of(order.payment_id), began, order.refunded)

    def _acknowledged(self, key: str, began: float, version: int) -> None:
        ended = asyncio.get_running_loop().time()
        self._history.writes[key].append(Seen(began, ended, version, self._name))

    async def _call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the object of a success, None where it was refused."""
        loop = asyncio.get_running_loop()
        key = uuid.UUID(int=self._random.getrandbits(128), version=4).hex
        give_up = loop.time() + _GIVE_UP_S
        while True:
            began = loop.time()
            status, content, retry_after = await self._try(method, path, body, key)
            if status in {200, 201, 202}:
                self.answers[f"{status}"] += 1
                found: dict[str, Any] = json.loads(content)
                return found
            if _is_refused(status, content):
                self.answers[f"{status}"] += 1
                self.refused.append(f"{method} {path}: {status} {content!r}")
                return None
            lost = Failure(began, loop.time(), status, content).is_lost
            if not lost and status != 409 and not (status == 503 and retry_after):
                self.unexpected.append(f"{method} {path}: {status} {content!r}")
                return None
            self.answers["lost" if lost else f"{status}"] += 1
            assert loop.time() < give_up, f"{method} {path} has no final answer: {status} {content!r}"
            await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _try(self, method: str, path: str, body: dict[str, Any], key: str) -> tuple[int, bytes, bool]:
        headers = {"Idempotency-Key": key} if method == "POST" else {}
        try:
            async with self._http.request(method, path, json=body, headers=headers) as answer:
                return answer.status, await answer.read(), "Retry-After" in answer.headers
        except (aiohttp.ClientError, TimeoutError):
            return 0, b"", False


def _is_refused(status: int, content: bytes) -> bool:
    """Say whether the answer is final. What a killed replica had begun and not sent is concluded as failed."""
    if status == 409:
        return b'"idempotency_in_progress"' not in content
    return status == 502 and b'"processor_failed"' in content
