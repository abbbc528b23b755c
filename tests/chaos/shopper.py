"""A client that pays, captures and refunds, and repeats each request with its key until the answer is final."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_GIVE_UP_S = 60.0
_FINAL = frozenset({200, 201, 402, 404, 409, 422})


@dataclass(slots=True)
class Told:
    """What the gateway has acknowledged: minor units captured and refunded, by payment."""

    captured: dict[str, int] = field(default_factory=dict)
    refunded: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    body_by_key: dict[str, tuple[int, bytes]] = field(default_factory=dict)


class Shopper:
    """One of many clients of one merchant."""

    def __init__(self, http: aiohttp.ClientSession, seed: int, told: Told) -> None:
        self._http = http
        self._random = random.Random(seed)
        self._told = told

    async def shop(self, until: float) -> None:
        """Pay, and then perhaps capture, void or refund, until the loop's time `until`."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            amount = self._random.randint(100, 100_000)
            capture = self._random.random() < 0.6
            payment = await self._call("/v1/payments", {**_ORDER, "amount": amount, "capture": capture})
            if payment is None:
                continue
            if capture:
                self._told.captured[payment["id"]] = amount
            else:
                await self._finish_held(payment["id"], amount)
            if payment["id"] in self._told.captured and self._random.random() < 0.5:
                await self._refund(payment["id"])

    async def _finish_held(self, payment_id: str, amount: int) -> None:
        if self._random.random() < 0.3:
            await self._call(f"/v1/payments/{payment_id}/void", {})
            return
        part = self._random.randint(1, amount)
        if await self._call(f"/v1/payments/{payment_id}/capture", {"amount": part}) is not None:
            self._told.captured[payment_id] = part

    async def _refund(self, payment_id: str) -> None:
        left = self._told.captured[payment_id] - self._told.refunded[payment_id]
        part = self._random.randint(1, left)
        refund = await self._call(f"/v1/payments/{payment_id}/refunds", {"amount": part})
        if refund is not None:
            self._told.refunded[payment_id] += refund["amount"]

    async def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the object of a success, None where it was refused or failed."""
        key = uuid.UUID(int=self._random.getrandbits(128), version=4).hex
        give_up = asyncio.get_running_loop().time() + _GIVE_UP_S
        while True:
            status, content = await self._try(path, body, key)
            if (status in _FINAL and not _is_in_progress(status, content)) or _is_failed(status, content):
                self._told.answers[f"{status}"] += 1
                return json.loads(content) if status in {200, 201} else None
            self._told.answers["repeated"] += 1
            assert asyncio.get_running_loop().time() < give_up, f"{path} has no final answer: {status} {content!r}"
            await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _try(self, path: str, body: dict[str, Any], key: str) -> tuple[int, bytes]:
        try:
            async with self._http.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return 0, b""
        if answer.status in {200, 201}:
            known = self._told.body_by_key.setdefault(key, (answer.status, content))
            assert known == (answer.status, content), "a key was answered with two different objects"
        return answer.status, content


_ORDER = {"currency": "USD", "payment_method": "tok_visa"}


def _is_in_progress(status: int, content: bytes) -> bool:
    return status == 409 and b'"idempotency_in_progress"' in content


def _is_failed(status: int, content: bytes) -> bool:
    return status == 502 and b'"processor_failed"' in content
