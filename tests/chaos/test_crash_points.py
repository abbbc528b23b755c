"""A process that dies between any two steps of an operation loses nothing and charges nobody twice."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from actors.runtime.errors import ActorError
from serve_app.attempts.answer import Answer
from serve_app.attempts.engine import Step
from serve_app.domain.errors import IdempotencyInProgress
from serve_app.domain.idempotency import claim
from serve_app.domain.ids import Prefix, new_id, parse_id
from serve_app.services import Services
from tests.support.acquirer import AcquirerProcess
from tests.support.books import compare
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE, TestPostgres

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

_FINAL_WITHIN_S, _DEAD_WITHIN_S = 30.0, 60.0
_OPERATIONS = ("charge", "capture", "void", "refund")


async def _prepared(services: Services, merchant: UUID, operation: str) -> UUID:
    """Return the payment that the operation is about; the charge makes its own."""
    if operation == "charge":
        return merchant
    wanted = new_payment(capture=operation == "refund")
    made = await services.payments.create(owner(merchant, merchant), wanted, None)
    payment_id = parse_id(Prefix.PAYMENT, json.loads(made.body)["id"])
    assert payment_id is not None
    return payment_id


async def _repeated(services: Services, plan: dict[str, str]) -> Answer:
    """Repeat the operation with its key, as the merchant does, until it has a final answer."""
    merchant = owner(UUID(plan["merchant"]), UUID(plan["merchant"]))
    claimed = claim(plan["key"], "POST", plan["operation"], b"")
    payment_id = UUID(plan["payment"])
    while True:
        await services.resolver.sweep()
        try:
            match plan["operation"]:
                case "charge":
                    answer = await services.payments.create(merchant, new_payment(), claimed)
                case "capture":
                    answer = await services.payments.capture(merchant, payment_id, 700, claimed)
                case "void":
                    answer = await services.payments.void(merchant, payment_id, claimed)
                case _:
                    answer = await services.refunds.create(merchant, payment_id, 300, None, claimed)
        except (IdempotencyInProgress, ActorError):
            continue
        if not answer.state.is_open:
            return answer


class _Crashing:
    """The program that makes processes which die, one after the other."""

    def __init__(self, program: Process) -> None:
        self._program = program
        self._turn = asyncio.Lock()

    async def die(self, plan: dict[str, str]) -> None:
        """Have a process do as planned and die."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        async with self._turn, asyncio.timeout(_DEAD_WITHIN_S):
            self._program.stdin.write(json.dumps(plan).encode() + b"\n")
            assert int(await self._program.stdout.readline()) == -signal.SIGKILL, plan


@asynccontextmanager
async def _crashing() -> AsyncIterator[_Crashing]:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.crashing_attempt"), cwd=Path(__file__).parents[2], stdin=PIPE, stdout=PIPE
    )
    try:
        yield _Crashing(program)
    finally:
        assert program.stdin is not None
        program.stdin.close()
        await program.wait()


async def _die_at_each_step(survivor: Services, crashing: _Crashing, operation: str, places: dict[str, str]) -> None:
    """Kill an operation at each of its steps, and repeat it."""
    for step in Step:
        merchant = new_id()
        plan = {
            "operation": operation, "step": step.value, "merchant": str(merchant), "key": new_id().hex,
            "payment": str(await _prepared(survivor, merchant, operation)), **places,
        }  # fmt: skip
        await crashing.die(plan)
        async with asyncio.timeout(_FINAL_WITHIN_S):
            answer = await _repeated(survivor, plan)
        print(f"{operation} killed at {step}: {answer.state} {answer.code or ''}")


async def _sweeping(services: Services) -> None:
    while True:
        await services.resolver.sweep()
        await asyncio.sleep(0.2)


@pytest.mark.timeout(300)
async def test_death_between_any_two_steps(postgres: TestPostgres, tmp_path: Path) -> None:
    """Each operation is killed at each step, repeated with its key by a survivor, and both ledgers agree."""
    acquirer = AcquirerProcess(tmp_path / "ledger.db")
    url = postgres.url(APP_ROLE)
    try:
        async with gateway_services(url, processor_url=acquirer.url) as survivor, _crashing() as crashing:
            sweeping = asyncio.create_task(_sweeping(survivor))
            places = {"database": url, "processor": acquirer.url}
            async with asyncio.TaskGroup() as operations:
                for operation in _OPERATIONS:
                    operations.create_task(_die_at_each_step(survivor, crashing, operation, places))
            sweeping.cancel()
        comparison = await compare(postgres.url(), acquirer)
        print(comparison)
    finally:
        acquirer.kill()
