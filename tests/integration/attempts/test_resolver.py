"""The resolver ends open attempts in the truth, and in nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
from pydantic_core import from_json

from actors.pool.database import Database
from actors.runtime.clock import SystemClock
from serve_app.attempts.intent import Intent
from serve_app.attempts.repository import AttemptRepository
from serve_app.attempts.sender import Processors, processor_request
from serve_app.config import GatewayConfig
from serve_app.domain.attempt import Attempt, AttemptKind
from serve_app.domain.ids import new_id
from serve_app.domain.payment import PaymentStatus
from serve_app.processors.guarded import Guarded
from serve_app.processors.protocol import (
    Approved,
    Lookup,
    LookupFailed,
    NotFound,
    Outcome,
    Pending,
    ProcessorRequest,
    Refusal,
)
from serve_app.processors.simulator import Simulator
from serve_app.services import Services, wire
from tests.support.gateway_services import PEPPER, owner
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.unit.domain.builders import new_payment


class ScriptedProcessor:
    """The simulator behind answers to lookups that the test says; `performed` are the requests that reached it."""

    name = "simulator"

    def __init__(self, *, can_refuse: bool = True) -> None:
        self.can_refuse = can_refuse
        self.answer: Lookup | None = None
        self.performed: list[ProcessorRequest] = []
        self._simulator = Simulator()

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        self.performed.append(request)
        return await self._simulator.perform(request, timeout_s=timeout_s)

    async def lookup(self, request: ProcessorRequest, *, timeout_s: float) -> Lookup:
        return self.answer or await self._simulator.lookup(request, timeout_s=timeout_s)

    async def refuse(self, request: ProcessorRequest, *, timeout_s: float) -> Refusal:
        return await self._simulator.refuse(request, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._simulator.close()


@pytest.fixture
async def database(postgres: TestPostgres) -> AsyncIterator[Database]:
    """Open the database."""
    opened = await Database.open(postgres.url(APP_ROLE), name="tests", manager=None, want=4)
    yield opened
    await opened.close()


def _services(database: Database, processor: ScriptedProcessor) -> Services:
    config = GatewayConfig(database_url="", api_key_pepper=PEPPER, actor_namespace="tests", processor_timeout_s=2.0)
    return wire(config, database, Processors(Guarded(processor), None), SystemClock())


async def _abandoned(database: Database, *, capture: bool = True) -> Intent:
    """Store an attempt whose deadline has passed and that was never sent, as a process that died leaves it."""
    attempt = Attempt(new_id(), AttemptKind.AUTHORIZE, 1000, capture, "simulator", -1.0)
    payment = replace(new_payment(pending_attempt=attempt.id), created_at=SystemClock().now())
    merchant = owner(payment.merchant_id, new_id())
    intent = Intent(payment, attempt, merchant.requester)
    assert await AttemptRepository(database).begin_payment(intent)
    return intent


async def _status(services: Services, intent: Intent) -> PaymentStatus:
    payment = intent.payment
    json = await services.payments.get(owner(payment.merchant_id, UUID(int=0)), payment.id)
    return PaymentStatus(from_json(json)["status"])


async def test_one_that_was_never_sent_is_refused_and_fails(database: Database) -> None:
    """And when it arrives after all, the processor does not perform it."""
    processor = ScriptedProcessor()
    services, intent = _services(database, processor), await _abandoned(database)
    assert (await services.resolver.sweep()).concluded >= 1
    assert await _status(services, intent) is PaymentStatus.FAILED
    late = await processor.perform(processor_request(intent), timeout_s=1)
    assert not isinstance(late, Approved)


async def test_one_that_was_charged_is_captured(database: Database) -> None:
    """The process died between the processor's answer and recording it."""
    processor = ScriptedProcessor()
    services, intent = _services(database, processor), await _abandoned(database)
    assert isinstance(await processor.perform(processor_request(intent), timeout_s=1), Approved)
    await services.resolver.sweep()
    assert await _status(services, intent) is PaymentStatus.CAPTURED
    assert len(processor.performed) == 1


@pytest.mark.parametrize("answer", [Pending(), LookupFailed("away")])
async def test_what_is_not_definite_concludes_nothing(database: Database, answer: Lookup) -> None:
    """The attempt stays open, and is asked about again later, not in the same sweep."""
    processor = ScriptedProcessor()
    processor.answer = answer
    services, intent = _services(database, processor), await _abandoned(database)
    assert (await services.resolver.sweep()).concluded == 0
    assert await _status(services, intent) is PaymentStatus.PROCESSING
    assert (await services.resolver.sweep()).found == 0
    processor.answer = NotFound()


@pytest.mark.parametrize("capture", [True, False])
async def test_a_processor_that_cannot_refuse_is_made_to_undo(database: Database, capture: bool) -> None:
    """The same attempt is sent again, which settles it, and what that made is given back; the payment ends failed."""
    processor = ScriptedProcessor(can_refuse=False)
    services, intent = _services(database, processor), await _abandoned(database, capture=capture)
    await services.resolver.sweep()
    assert await _status(services, intent) is PaymentStatus.FAILED
    kinds = [request.kind for request in processor.performed]
    assert kinds == [AttemptKind.AUTHORIZE, AttemptKind.REFUND if capture else AttemptKind.VOID]
    assert processor.performed[0].attempt_id == processor_request(intent).attempt_id


async def test_two_resolvers_at_once_conclude_once(database: Database) -> None:
    """One attempt, one event, one posting."""
    processor = ScriptedProcessor()
    first, second = _services(database, processor), _services(database, processor)
    intent = await _abandoned(database)
    await processor.perform(processor_request(intent), timeout_s=1)
    await asyncio.gather(first.resolver.sweep(), second.resolver.sweep())
    payment = intent.payment
    items = await first.payments.timeline(owner(payment.merchant_id, UUID(int=0)), payment.id)
    assert [item["kind"] for item in items] == ["attempt_started", "attempt_finished", "posting", "event"]
    assert json.dumps(items)
