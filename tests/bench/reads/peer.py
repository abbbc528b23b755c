"""The peer: a read by id as one would write it by hand with FastAPI and asyncpg, on the gateway's own tables.

It checks the API key against the one that it was given, so no request asks the database for keys, reads the row by its
primary key, and answers with the same members. As with the other expert's peer, a connection that comes back to the
pool is not reset, which spares every second round trip.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException, Request

from serve_app.domain.ids import Prefix, parse_id, public_id
from serve_app.payments.schemas import PaymentMethod, PaymentView
from tests.bench.peer import POOL_SIZE, keep_connection_as_it_is

READ = """
SELECT id, merchant_id, livemode, amount, amount_captured, amount_refunded, currency, status, token, brand, last4,
       processor, processor_reference, decline_code, description, customer, metadata, version, created_at, updated_at
FROM payments WHERE merchant_id = $1 AND id = $2
"""
_SAME = (
    "livemode", "amount", "amount_captured", "amount_refunded", "currency", "status", "processor",
    "processor_reference", "decline_code", "description", "customer", "version", "created_at", "updated_at",
)  # fmt: skip


def build_from_environment() -> FastAPI:
    """Build the service from `PEER_DATABASE_URL`, `PEER_API_KEY` and `PEER_MERCHANT`."""
    return build_app(os.environ["PEER_DATABASE_URL"], os.environ["PEER_API_KEY"], os.environ["PEER_MERCHANT"])


def build_app(database_url: str, api_key: str, merchant: str) -> FastAPI:
    """Build the service for one merchant and its key."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            database_url, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=keep_connection_as_it_is
        ) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)
    app.state.merchant_id = parse_id(Prefix.MERCHANT, merchant)
    app.state.digest = _digest(f"Bearer {api_key}")

    @app.get("/payments/{payment_id}")
    async def read_payment(
        payment_id: str, request: Request, merchant_id: Annotated[UUID, Depends(merchant_of)]
    ) -> PaymentView:
        row = await request.app.state.pool.fetchrow(READ, merchant_id, parse_id(Prefix.PAYMENT, payment_id))
        if row is None:
            raise HTTPException(status_code=404)
        return _view(row)

    return app


async def merchant_of(request: Request, authorization: Annotated[str, Header()]) -> UUID:
    """Return whose key it is."""
    state = request.app.state
    if not hmac.compare_digest(_digest(authorization), state.digest):
        raise HTTPException(status_code=401)
    merchant_id: UUID = state.merchant_id
    return merchant_id


def _digest(authorization: str) -> bytes:
    return sha256(authorization.encode()).digest()


def _view(row: Any) -> PaymentView:
    return PaymentView(
        id=public_id(Prefix.PAYMENT, row["id"]),
        object="payment",
        merchant=public_id(Prefix.MERCHANT, row["merchant_id"]),
        payment_method=PaymentMethod(token=row["token"], brand=row["brand"], last4=row["last4"]),
        metadata=json.loads(row["metadata"]),
        settlement=None,
        **{name: row[name] for name in _SAME},
    )
