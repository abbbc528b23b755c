"""The scheduled functions do what they are named for, on the services of the process that runs them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import asyncpg
import pytest
from pydantic_core import from_json

from actors.runtime.clock import SystemClock
from actors.scheduler.registry import Run
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import new_id
from serve_app.services import Services
from serve_app.tasks.registry import registry
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE, TestPostgres

_TELLING = ("expire_authorizations", "clean_up_keys", "check_ledger")
_NAMES = (*_TELLING, "maintain_database", "guard_horizon")


@pytest.mark.parametrize("name", _NAMES)
def test_a_scheduled_function_runs_by_itself_and_alone(name: str) -> None:
    """It has a schedule, takes no arguments, and no two of its runs are at once."""
    definition = registry.find(name)
    assert definition is not None
    assert definition.schedule is not None
    now = SystemClock().now()
    due_at = definition.schedule.next_after(now)
    assert due_at is not None
    assert now < due_at <= now + timedelta(hours=1)
    assert not definition.takes_arguments
    assert definition.concurrency_max == 1


async def test_each_does_its_work_and_says_how_far_it_is(postgres: TestPostgres) -> None:
    """An old authorization is voided, an old key forgotten, and what changed is compared with the ledger."""
    connection = await asyncpg.connect(postgres.url())
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        merchant = owner(new_id(), new_id())
        paid = await services.payments.create(merchant, new_payment(capture=False), Claim(new_id().hex, b"f" * 16))
        ago = timedelta(days=8)
        for sql in (
            "UPDATE payments SET authorized_at = authorized_at - $2::interval WHERE id = $1",
            "UPDATE idempotency_keys SET created_at = created_at - $2::interval WHERE payment_id = $1",
            "UPDATE attempts SET finished_at = finished_at - $2::interval WHERE payment_id = $1",
        ):
            await connection.execute(sql, paid.payment_id, ago)
        for name in _TELLING:
            told: list[tuple[int, int, str]] = []
            run: Run[Services] = Run(new_id(), 1, services, _noting(told))
            definition = registry.find(name)
            assert definition is not None
            await definition.function(run)
            assert told, name
            assert all(done >= 0 for done, _, _ in told)
        payment = from_json(await services.payments.get(merchant, paid.payment_id))
        assert payment["status"] == "voided"
        keys = await connection.fetch("SELECT FROM idempotency_keys WHERE payment_id = $1", paid.payment_id)
        assert keys == []
        standing = await services.ledger_check.standing()
        last = await connection.fetchval(
            "SELECT max((xid::text)::bigint) FROM events WHERE object_id = $1", paid.payment_id
        )
        assert standing.position > last
    await connection.close()


def _noting(told: list[tuple[int, int, str]]) -> Callable[[int, int, str], None]:
    return lambda done, of, words: told.append((done, of, words))
