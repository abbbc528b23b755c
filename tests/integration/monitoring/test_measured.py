"""What a replica measures of payments on a real PostgreSQL, and what a silence leaves in the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import asyncpg
import pytest
from pydantic_core import to_json
from starlette.types import ASGIApp

from actors.monitor.client import MonitorClient
from actors.monitor.instruments import Instruments
from actors.monitor.messages import Batch
from actors.monitor.series import series
from actors.monitor.silences import Silence
from serve_app.app import assemble
from serve_app.http.operation import Call
from serve_app.merchants.administration import create_key
from serve_app.merchants.secrets import MERCHANT_SCOPES
from serve_app.middleware.authentication import Caller
from serve_app.monitoring.names import (
    HTTP_DURATION,
    HTTP_REQUEST_SIZE,
    HTTP_REQUESTS,
    HTTP_RESPONSE_SIZE,
    PAYMENTS,
    PAYMENTS_AMOUNT,
    PROCESSOR_CALLS,
    STAGE_DURATION,
    STATEMENT_DURATION,
    STATEMENT_OLDEST,
    UTILISATION,
)
from serve_app.ops.alerts import AlertEndpoints, NewSilence
from serve_app.services import Services
from tests.support.gateway_services import PEPPER, gateway_services, owner
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.unit.http.exchange import JSON, Exchange, Lines, ask


@dataclass
class Replica:
    """A replica that measures, and a merchant's key."""

    services: Services
    instruments: Instruments
    app: ASGIApp
    api_key: str

    async def call(self, method: str, path: str, content: Any = None) -> Exchange:
        """Send a request with the merchant's key through the whole application."""
        body = to_json(content) if content is not None else b""
        headers = [(b"authorization", f"Bearer {self.api_key}".encode()), JSON]
        headers.append((b"content-length", str(len(body)).encode()))
        return await ask(self.app, method, path, headers=headers, body=body)

    async def pay(self, token: str, amount: int, currency: str = "EUR") -> Exchange:
        """Ask for a payment."""
        body = {"amount": amount, "currency": currency, "payment_method": token}
        return await self.call("POST", "/v1/payments", body)


@pytest.fixture
async def replica(postgres: TestPostgres) -> AsyncIterator[Replica]:
    """Run one on the schema that is there."""
    issued = await create_key(
        postgres.url(), PEPPER, merchant="measured", scopes=[scope.value for scope in MERCHANT_SCOPES]
    )
    instruments = Instruments("gateway-1", "node-1")
    async with gateway_services(postgres.url(APP_ROLE), instruments=instruments) as services:
        yield Replica(services, instruments, assemble(services, Lines()), issued.api_key)


def _counts(batch: Batch, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in each.labels): count for each, count in batch.counters.items() if each.name == name
    }


async def test_payments_and_their_stages_are_measured(replica: Replica) -> None:
    """By what became of them; each stage of each attempt, and each request with its sizes."""
    paid = [await replica.pay("tok_visa", 250) for _ in range(3)]
    declined = await replica.pay("tok_declined", 90, "JPY")
    failed = await replica.pay("tok_processor_error", 40)
    assert [answer.status for answer in (*paid, declined, failed)] == [201, 201, 201, 402, 502]
    payment = f"/v1/payments/{paid[0].json['id']}"
    assert (await replica.call("POST", f"{payment}/refunds", {"amount": 100})).status == 201
    assert (await replica.call("GET", payment)).status == 200
    batch = replica.instruments.take()
    assert _counts(batch, PAYMENTS) == {
        ("EUR", "captured"): 3, ("JPY", "declined"): 1, ("EUR", "failed"): 1, ("EUR", "partially_refunded"): 1,
    }  # fmt: skip
    assert _counts(batch, PAYMENTS_AMOUNT) == {
        ("EUR", "captured"): 750, ("JPY", "declined"): 90, ("EUR", "failed"): 40, ("EUR", "partially_refunded"): 100,
    }  # fmt: skip
    assert _counts(batch, HTTP_REQUESTS) == {
        ("POST", "/v1/payments", "201"): 3,
        ("POST", "/v1/payments", "402"): 1,
        ("POST", "/v1/payments", "502"): 1,
        ("POST", "/v1/payments/{payment_id}/refunds", "201"): 1,
        ("GET", "/v1/payments/{payment_id}", "200"): 1,
    }
    histograms = batch.histograms
    for stage in ("begin", "processor", "conclude"):
        assert histograms[series(STAGE_DURATION, stage=stage)].count == 6
    created = {"method": "POST", "route": "/v1/payments"}
    assert histograms[series(HTTP_DURATION, **created)].count == 5
    assert histograms[series(HTTP_REQUEST_SIZE, route="/v1/payments")].count == 5
    sizes = histograms[series(HTTP_RESPONSE_SIZE, route="/v1/payments")]
    assert sizes.total == sum(len(answer.body) for answer in (*paid, declined, failed))
    stages_s = sum(
        histograms[series(STAGE_DURATION, stage=stage)].total for stage in ("begin", "processor", "conclude")
    )
    assert 0 < stages_s < sum(found.total for each, found in histograms.items() if each.name == HTTP_DURATION)
    assert histograms[series(STATEMENT_DURATION)].count >= 6
    # What the token is made to fail with says nothing of the processor.
    assert _counts(batch, PROCESSOR_CALLS) == {("answered", "simulator"): 5}
    assert batch.gauges[series(UTILISATION, resource="queue")] == 0
    assert batch.gauges[series(STATEMENT_OLDEST)] == 0


async def test_a_statement_that_hangs_is_seen_before_it_ends(replica: Replica) -> None:
    """By the connection that it has."""
    async with replica.services.database.transaction() as connection:
        await connection.execute("SELECT pg_sleep(0.05)")
        assert replica.instruments.take().gauges[series(STATEMENT_OLDEST)] >= 0.05


async def test_without_instruments_payments_are_as_before(postgres: TestPostgres) -> None:
    """PERFORMANCE_MONITORING_ENABLED is off."""
    issued = await create_key(
        postgres.url(), PEPPER, merchant="unmeasured", scopes=[scope.value for scope in MERCHANT_SCOPES]
    )
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        assert (services.instruments, services.reporter) == (None, None)
        replica = Replica(services, Instruments("none"), assemble(services, Lines()), issued.api_key)
        assert (await replica.pay("tok_visa", 100)).status == 201


async def test_a_silence_is_in_the_audit_trail(postgres: TestPostgres, replica: Replica) -> None:
    """Of the merchant whose key it was done with, by that key; and what cannot be written fails nothing."""
    silence = Silence("s-1", "QueueFull", (), datetime(2026, 1, 1, tzinfo=UTC), "key", "why")
    monitor = create_autospec(MonitorClient, instance=True)
    monitor.silence = AsyncMock(return_value=silence)
    endpoints = AlertEndpoints(monitor, replica.services.operator_log)
    merchant = (await replica.pay("tok_visa", 100)).json["merchant"]
    connection = await asyncpg.connect(postgres.url())
    merchant_id = await connection.fetchval("SELECT id FROM merchants WHERE name = 'measured'")
    caller = Caller(owner(merchant_id, merchant_id).requester.key_id, merchant_id, False, frozenset(), None)
    call = Call("POST", "/x", {}, "req_7", caller=caller, body=NewSilence(alert="QueueFull", minutes=5, why="why"))
    assert (await endpoints.silence(call)).status == 201
    row = await connection.fetchrow("SELECT * FROM audit_entries WHERE request_id = 'req_7'")
    await connection.close()
    assert (row["action"], row["object_id"], row["result"]) == ("alert.silence", "QueueFull s-1", "succeeded")
    assert (row["merchant_id"], row["key_id"]) == (merchant_id, merchant_id)
    assert merchant
    await replica.services.database.close()
    assert (await endpoints.silence(call)).status == 201
