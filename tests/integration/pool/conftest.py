"""A PostgreSQL of its own for the tests of the pool, which end its sessions and restart it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import asyncpg
import pytest

from actors.pool.database import Database
from actors.pool.statement import BatchStatement
from tests.support.postgres import TestPostgres
from tests.support.started import started

_names = itertools.count(1)


class Entry(NamedTuple):
    """A row of the test's table."""

    id: int
    amount: int
    note: str


INSERT = BatchStatement[Entry, int](
    name="insert_entries",
    sql="""
        WITH input AS (
            SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[]) WITH ORDINALITY
                AS item (id, amount, note, ordinal)
        ), stored AS (
            INSERT INTO entries (id, amount, note) SELECT id, amount, note FROM input
            ON CONFLICT (id) DO UPDATE SET amount = excluded.amount
            RETURNING id, amount
        )
        SELECT input.ordinal::int, stored.amount FROM input JOIN stored USING (id)
    """,
    result=lambda record: int(record["amount"]),
    key=lambda row: row.id,
)

_SCHEMA = """
    DROP TABLE IF EXISTS entries;
    CREATE TABLE entries (
        id bigint PRIMARY KEY,
        amount int NOT NULL CONSTRAINT amount_is_positive CHECK (amount > 0),
        note text NOT NULL CONSTRAINT note_is_unique UNIQUE DEFERRABLE INITIALLY DEFERRED
    );
"""


@pytest.fixture(scope="session")
def server() -> Iterator[TestPostgres]:
    """Run one server for the tests of this folder; each makes the table anew."""
    with started(TestPostgres()) as server:
        yield server


@pytest.fixture
def url(server: TestPostgres) -> str:
    """Return the URL of the superuser."""
    return server.url(database="postgres")


@pytest.fixture
async def admin(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect beside the pool under test, with the test's table empty."""
    connection = await asyncpg.connect(url)
    await connection.execute(_SCHEMA)
    yield connection
    connection.terminate()


OpenDatabase = Callable[..., "contextlib.AbstractAsyncContextManager[Database]"]


@pytest.fixture
def open_database(url: str, admin: asyncpg.Connection) -> OpenDatabase:  # noqa: ARG001  # the table has to be there
    """Return a way to open databases under names of their own, closed at the end of their block."""

    @contextlib.asynccontextmanager
    async def opened(want: int = 4, **options: float) -> AsyncIterator[Database]:
        database = await Database.open(url, name=f"test-{next(_names)}", manager=None, want=want, **options)  # type: ignore[arg-type]
        try:
            yield database
        finally:
            async with asyncio.timeout(10):
                await database.close()

    return opened


@pytest.fixture
async def database(open_database: OpenDatabase) -> AsyncIterator[Database]:
    """Open a database of four connections."""
    async with open_database() as database:
        yield database


async def until(connection: asyncpg.Connection, sql: str, *args: object) -> None:
    """Ask the server until it says true; every answer is a round trip, so the loop does not spin."""
    async with asyncio.timeout(5):
        while not await connection.fetchval(sql, *args):
            pass


async def backends(connection: asyncpg.Connection, name: str) -> list[int]:
    """Return the server's processes whose application_name starts with ``name``."""
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, $1) ORDER BY backend_start", name
    )
    return [row["pid"] for row in rows]
