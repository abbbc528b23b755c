"""The peer: the leanest two-phase payment service that one would write by hand with FastAPI and asyncpg.

It makes the intent durable before the processor is called and records the outcome afterwards, in two
transactions, and has nothing else: no idempotency, ledger, events, audit or keys. Run it with `uvicorn
--factory tests.bench.peer:build_app`.

Each phase has two ways of writing it. `transaction` is the common one: two statements in a transaction. `cte`
is the expert's: one data-modifying statement for each phase, and no reset of a connection that comes back to
the pool. It spares eight of ten round trips to the server, so whoever doubts the first peer has the second
one beside it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, StringConstraints

POOL_SIZE = 8

SCHEMA = """
CREATE TABLE payments (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    amount         bigint NOT NULL CHECK (amount > 0),
    currency       text NOT NULL,
    payment_method text NOT NULL,
    status         text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE attempts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id  bigint NOT NULL REFERENCES payments,
    status      text NOT NULL,
    reference   text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
"""

INSERT_PAYMENT = """
INSERT INTO payments (amount, currency, payment_method, status)
VALUES ($1, $2, $3, 'processing') RETURNING id, created_at
"""
INSERT_ATTEMPT = "INSERT INTO attempts (payment_id, status) VALUES ($1, 'started') RETURNING id"
FINISH_ATTEMPT = """
UPDATE attempts SET status = 'succeeded', reference = $2, finished_at = now()
WHERE id = $1 AND status = 'started'
"""
FINISH_PAYMENT = """
UPDATE payments SET status = 'captured', updated_at = now() WHERE id = $1 RETURNING updated_at
"""

BEGIN_PAYMENT = """
WITH payment AS (
    INSERT INTO payments (amount, currency, payment_method, status)
    VALUES ($1, $2, $3, 'processing') RETURNING id, created_at
), attempt AS (
    INSERT INTO attempts (payment_id, status) SELECT id, 'started' FROM payment RETURNING id
)
SELECT payment.id, payment.created_at, attempt.id AS attempt_id FROM payment, attempt
"""
CONCLUDE_PAYMENT = """
WITH attempt AS (
    UPDATE attempts SET status = 'succeeded', reference = $2, finished_at = now()
    WHERE id = $1 AND status = 'started' RETURNING payment_id
)
UPDATE payments SET status = 'captured', updated_at = now() FROM attempt
WHERE payments.id = attempt.payment_id RETURNING updated_at
"""
READ_PAYMENT = """
SELECT id, amount, currency, payment_method, status, created_at, updated_at FROM payments WHERE id = $1
"""


class NewPayment(BaseModel):
    """Describe a payment to make."""

    amount: Annotated[int, "minor units"]
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
    payment_method: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Payment(NewPayment):
    """Describe a payment that was made."""

    id: int
    status: Literal["processing", "captured"]
    created_at: datetime
    updated_at: datetime


async def authorize(attempt_id: int) -> str:
    """Stand for the processor, which answers at once: its time is not what is compared."""
    return f"sim_{attempt_id}"


async def create_in_transactions(pool: Any, new: NewPayment) -> Payment:
    """Take a payment with two statements in a transaction for each phase."""
    async with pool.acquire() as connection, connection.transaction():
        payment = await connection.fetchrow(INSERT_PAYMENT, new.amount, new.currency, new.payment_method)
        attempt_id = await connection.fetchval(INSERT_ATTEMPT, payment["id"])
    reference = await authorize(attempt_id)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(FINISH_ATTEMPT, attempt_id, reference)
        updated_at = await connection.fetchval(FINISH_PAYMENT, payment["id"])
    return _captured(new, payment, updated_at)


async def create_in_ctes(pool: Any, new: NewPayment) -> Payment:
    """Take a payment with one statement for each phase."""
    payment = await pool.fetchrow(BEGIN_PAYMENT, new.amount, new.currency, new.payment_method)
    reference = await authorize(payment["attempt_id"])
    updated_at = await pool.fetchval(CONCLUDE_PAYMENT, payment["attempt_id"], reference)
    return _captured(new, payment, updated_at)


def _captured(new: NewPayment, payment: Any, updated_at: datetime) -> Payment:
    return Payment(
        id=payment["id"],
        amount=new.amount,
        currency=new.currency,
        payment_method=new.payment_method,
        status="captured",
        created_at=payment["created_at"],
        updated_at=updated_at,
    )


async def keep_connection_as_it_is(connection: Any) -> None:
    """Reset nothing: no statement of this service leaves session state behind."""


def build_app() -> FastAPI:
    """Build the service from `PEER_DATABASE_URL` and `PEER_STYLE`."""
    url = os.environ["PEER_DATABASE_URL"]
    expert = os.environ.get("PEER_STYLE") == "cte"
    create = create_in_ctes if expert else create_in_transactions
    reset = keep_connection_as_it_is if expert else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, min_size=POOL_SIZE, max_size=POOL_SIZE, reset=reset) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/payments", status_code=201)
    async def create_payment(new: NewPayment, request: Request) -> Payment:
        return await create(request.app.state.pool, new)

    @app.get("/payments/{payment_id}")
    async def read_payment(payment_id: int, request: Request) -> Payment:
        row = await request.app.state.pool.fetchrow(READ_PAYMENT, payment_id)
        if row is None:
            raise HTTPException(status_code=404)
        return Payment(**row)

    return app
