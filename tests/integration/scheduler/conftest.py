"""Tables of tasks that are empty when a test begins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from actors.pool.database import Database
from actors.scheduler.store import PLANNER_SETTINGS, TaskStore
from tests.support.postgres import APP_ROLE, TestPostgres


@pytest.fixture
async def admin(postgres: TestPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the superuser, with no task there."""
    connection = await asyncpg.connect(postgres.url())
    # Quicker than TRUNCATE, which makes new files for every partition.
    for table in ("tasks", "task_dispatches", "task_queue", "task_crons", "task_uniques"):
        await connection.execute(f"DELETE FROM {table}")
    yield connection
    connection.terminate()


@pytest.fixture
async def database(postgres: TestPostgres, admin: asyncpg.Connection) -> AsyncIterator[Database]:  # noqa: ARG001
    """Open the database as the scheduler does."""
    opened = await Database.open(
        postgres.url(APP_ROLE), name="scheduler", manager=None, want=3, settings=PLANNER_SETTINGS
    )
    yield opened
    await opened.close()


@pytest.fixture
def store(database: Database) -> TaskStore:
    """Return the store of the queue."""
    return TaskStore(database)
