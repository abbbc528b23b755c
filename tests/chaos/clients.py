"""How tests talk to a gateway while things happen to it."""

from __future__ import annotations

import uuid
from typing import Any

import aiohttp
from aiohttp import ClientSession

from tests.chaos.writer import AMOUNT
from tests.e2e.gateway import RunningGateway


def client_of(gateway: RunningGateway, url: str | None = None) -> ClientSession:
    """Return a client of the gateway, or of one of its replicas, with a connection for each request under way."""
    return ClientSession(
        url or gateway.url,
        headers={"Authorization": f"Bearer {gateway.api_key}"},
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=20),
        timeout=aiohttp.ClientTimeout(total=35),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def pay(http: ClientSession, *, capture: bool) -> dict[str, Any]:
    """Take a payment of `AMOUNT`."""
    body = {"amount": AMOUNT, "currency": "USD", "payment_method": "tok_visa", "capture": capture}
    async with http.post("/v1/payments", json=body, headers={"Idempotency-Key": uuid.uuid4().hex}) as answer:
        assert answer.status == 201, await answer.text()
        payment: dict[str, Any] = await answer.json()
        return payment
