"""Sessions of ours that keep dead rows for too long are ended; all others are named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from actors.maintenance.guard import MAINTENANCE_NAME, HorizonGuard
from actors.maintenance.horizon import HorizonRules, Kind
from actors.maintenance.journal import MaintenanceJournal
from actors.maintenance.step import Action
from actors.pool.faults import DRIVER_ERRORS
from tests.support.postgres import APP_ROLE, TestPostgres

_OURS = "easypay-1f/"


@pytest.fixture
async def app(maintained: TestPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the gateway's role, which may see what others do."""
    admin = await asyncpg.connect(maintained.url())
    await admin.execute(f"GRANT pg_monitor TO {APP_ROLE}; DELETE FROM maintenance_journal")
    await admin.close()
    connection = await asyncpg.connect(maintained.url(APP_ROLE))
    yield connection
    await connection.close()


def _rules(seconds_max: float = 0.0) -> HorizonRules:
    return HorizonRules(seconds_max, xids_max=0, roles=frozenset({APP_ROLE}), names=(_OURS,))


async def _open(server: TestPostgres, role: str, name: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(server.url(role), server_settings={"application_name": name})
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await connection.execute("SELECT count(*) FROM payments")
    return connection


async def test_a_session_of_ours_is_ended_and_that_of_another_role_named(
    app: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """Both are written down; what is named is so once in an hour."""
    ours, theirs = await _open(maintained, APP_ROLE, "a tool"), await _open(maintained, "postgres", "a person")
    guard = HorizonGuard([app.fetch], _rules())
    assert {holder.name for holder in await guard.holders()} == {"a tool", "a person"}
    steps = {step.target.split(" (")[0]: step.action for step in await guard.look()}
    assert steps == {"a tool": Action.END_SESSION, "a person": Action.NAME_HOLDER}
    with pytest.raises(DRIVER_ERRORS):
        await ours.fetch("SELECT 1")
    assert await theirs.fetchval("SELECT 1") == 1
    assert await guard.look() == []
    written = {entry.action: entry for entry in await MaintenanceJournal(app.fetch).newest(10)}
    assert written["end_session"].after == {"ended": True}
    assert written["name_holder"].after == {"ended": False}
    assert written["name_holder"].before["kind"] == "idle_in_transaction"
    await theirs.close()


async def test_what_is_short_and_what_maintains_is_left_alone(
    app: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """A vacuum of ours holds back nobody."""
    short, vacuum = [await _open(maintained, APP_ROLE, name) for name in (f"{_OURS}x", MAINTENANCE_NAME)]
    assert await HorizonGuard([app.fetch], _rules(600.0)).look() == []
    assert [holder.name for holder in await HorizonGuard([app.fetch], _rules()).holders()] == [f"{_OURS}x"]
    await short.close()
    await vacuum.close()


async def test_a_way_to_the_database_ends_sessions_of_its_own_role_alone(
    app: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """So one for each role is needed, and no rule can make one end another's."""
    owner = await asyncpg.connect(maintained.url())
    theirs = await _open(maintained, "postgres", "a tool")
    rules = HorizonRules(0.0, roles=frozenset({APP_ROLE, "postgres"}))
    [step] = await HorizonGuard([app.fetch], rules).look()
    assert step.action is Action.END_SESSION
    assert await theirs.fetchval("SELECT 1") == 1
    [step] = await HorizonGuard([app.fetch, owner.fetch], rules).look()
    with pytest.raises(DRIVER_ERRORS):
        await theirs.fetch("SELECT 1")
    await owner.close()


async def test_an_abandoned_slot_and_a_prepared_transaction_are_named(
    own_postgres: TestPostgres,
) -> None:
    """Nobody but a person can tell whether they are still wanted."""
    owner = await asyncpg.connect(own_postgres.url())
    await owner.execute("ALTER SYSTEM SET max_prepared_transactions = 2")
    await owner.execute("ALTER SYSTEM SET wal_level = logical")
    await owner.close()
    own_postgres.stop()
    await asyncio.to_thread(own_postgres.start)
    owner = await asyncpg.connect(own_postgres.url())
    await owner.execute("SELECT pg_create_logical_replication_slot('left_behind', 'pgoutput')")
    await owner.execute("BEGIN")
    await owner.execute("UPDATE merchants SET name = name")
    await owner.execute("SELECT pg_current_xact_id()")
    await owner.execute("PREPARE TRANSACTION 'forgotten'")
    guard = HorizonGuard([owner.fetch], _rules())
    kinds = {holder.name: holder.kind for holder in await guard.holders()}
    assert kinds == {"left_behind": Kind.REPLICATION_SLOT, "forgotten": Kind.PREPARED_TRANSACTION}
    assert {step.action for step in await guard.look()} == {Action.NAME_HOLDER}
    await owner.execute("ROLLBACK PREPARED 'forgotten'")
    await owner.close()
