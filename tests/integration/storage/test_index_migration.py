"""A migration builds an index while others write, and can be repeated."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from actors.pool.faults import DRIVER_ERRORS
from actors.pool.turn import TURN
from serve_app.storage.migrate import upgrade
from tests.support.postgres import APP_ROLE, TestPostgres

_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('audit_entries_by_object')"

_BACK = """
UPDATE alembic_version SET version_num = '0009';
DROP TABLE maintenance_journal, clusters, cluster_numbers;
ALTER TABLE cache_epochs DROP COLUMN reign;
"""
"""What the migrations from 0010 on do, but for the index, undone."""


async def test_an_index_that_was_left_unfinished_is_built_anew(own_postgres: TestPostgres) -> None:
    """The migration was cut short in the midst of it, before its own transaction."""
    connection = await asyncpg.connect(own_postgres.url())
    assert await connection.fetchval(_IS_VALID)
    await connection.execute(_BACK)
    await connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'audit_entries_by_object'::regclass"
    )
    await upgrade(own_postgres.url(), APP_ROLE)
    assert await connection.fetchval(_IS_VALID)
    # And where it was built, but nothing after it.
    await connection.execute(_BACK)
    await upgrade(own_postgres.url(), APP_ROLE)
    assert await connection.fetchval("SELECT to_regclass('maintenance_journal')::text") == "maintenance_journal"
    await connection.close()


async def test_writers_do_not_wait_for_an_index(own_postgres: TestPostgres) -> None:
    """A transaction that wrote before holds up the build, and nobody else."""
    connection = await asyncpg.connect(own_postgres.url())
    await connection.execute(_BACK)
    await connection.execute("DROP INDEX audit_entries_by_object")
    writer, other = await asyncpg.connect(own_postgres.url()), await asyncpg.connect(own_postgres.url())
    insert = (
        "INSERT INTO audit_entries (merchant_id, id, livemode, request_id, action, object_id, result, created_at) "
        "VALUES (gen_random_uuid(), gen_random_uuid(), false, 'r', 'a', 'o', 'succeeded', now())"
    )
    await writer.execute("BEGIN")
    await writer.execute(insert)
    migrating = asyncio.create_task(upgrade(own_postgres.url(), APP_ROLE))
    builds = "SELECT count(*) FROM pg_stat_progress_create_index"
    async with asyncio.timeout(30):
        while not await connection.fetchval(builds):
            await asyncio.sleep(0.02)
    await other.execute(insert, timeout=5)
    assert not migrating.done()
    await writer.execute("COMMIT")
    await migrating
    assert await connection.fetchval(_IS_VALID)
    for each in (connection, writer, other):
        await each.close()


async def test_a_migration_does_not_wait_for_maintenance(own_postgres: TestPostgres) -> None:
    """It ends it, where there is anything to migrate; else the gateway starts beside it."""
    connection, vacuum = await asyncpg.connect(own_postgres.url()), await asyncpg.connect(own_postgres.url())
    await vacuum.execute("SELECT pg_advisory_lock($1::bigint)", TURN)
    await upgrade(own_postgres.url(), APP_ROLE)
    assert await vacuum.fetchval("SELECT 1") == 1
    await connection.execute(_BACK)
    await upgrade(own_postgres.url(), APP_ROLE)
    with pytest.raises(DRIVER_ERRORS):
        await vacuum.fetchval("SELECT 1")
    await connection.close()
