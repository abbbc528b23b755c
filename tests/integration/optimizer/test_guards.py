"""What the optimizer never does, and who may act."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from actors.optimizer.builds import Builder, Busy, NotBuilt
from actors.optimizer.catalog import IndexSpec, Key, TableName
from actors.optimizer.journal import Action, Journal, NotOwner
from actors.optimizer.policy import Policy
from actors.optimizer.rounds import Memory, act, look
from actors.optimizer.server import NotSupported
from tests.support.postgres import TestPostgres

_POLICY = Policy(watch_s=0)
_SPEC = IndexSpec(TableName("public", "things"), (Key("kind"),))

_SCHEMA = """
CREATE EXTENSION pg_stat_statements;
CREATE TABLE things (id bigint PRIMARY KEY, kind int NOT NULL, used int NOT NULL DEFAULT 0);
INSERT INTO things SELECT n, n % 1000 FROM generate_series(1, 20000) AS n;
CREATE TABLE calls (at timestamptz);
CREATE FUNCTION take(wanted int) RETURNS bigint LANGUAGE sql VOLATILE AS
    'INSERT INTO calls VALUES (now()); SELECT count(*) FROM things WHERE kind = wanted';
ANALYZE;
SELECT pg_stat_statements_reset();
"""


@pytest.fixture
async def url(server: TestPostgres) -> str:
    """Make a database with a table and a function that writes."""
    admin = await asyncpg.connect(server.url(database="postgres"))
    await admin.execute("DROP DATABASE IF EXISTS guards")
    await admin.execute("CREATE DATABASE guards")
    await admin.close()
    connection = await asyncpg.connect(server.url(database="guards"))
    await connection.execute(_SCHEMA)
    await connection.close()
    return server.url(database="guards")


@pytest.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect to it."""
    opened = await asyncpg.connect(url)
    yield opened
    await opened.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect to it a second time."""
    opened = await asyncpg.connect(url)
    yield opened
    await opened.close()


async def test_nothing_that_may_write_is_run(connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """A volatile function, an update, a lock: each is reported or left out, none is run again."""
    for kind in range(5):
        await other.fetch("SELECT take($1), count(*) FROM things WHERE kind = $1", kind)
        await other.fetch("UPDATE things SET used = used + 1 WHERE kind = $1 RETURNING id", kind)
        await other.fetch(
            "WITH made AS (UPDATE things SET used = 9 WHERE id = $1 RETURNING id) SELECT * FROM made", kind
        )
        await other.fetch("SELECT id FROM things WHERE kind = $1 FOR UPDATE", kind)
        await other.fetch("SELECT id FROM things WHERE kind = $1", kind)
    calls = await other.fetchval("SELECT count(*) FROM calls")
    used = await other.fetchval("SELECT sum(used) FROM things")
    report = await look(connection, _POLICY, Memory())
    assert await other.fetchval("SELECT count(*) FROM calls") == calls
    assert await other.fetchval("SELECT sum(used) FROM things") == used
    reasons = {each.text: each.why_not for each in report.statements}
    assert reasons["SELECT id FROM things WHERE kind = $1"] is None
    assert "take" in str(reasons["SELECT take($1), count(*) FROM things WHERE kind = $1"])
    assert not any("UPDATE" in text for text in reasons)


async def test_values_are_those_of_rows(connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """A statement that asks for a pair of values is measured with pairs that there are."""
    for number in range(1, 6):
        await other.fetch("SELECT used FROM things WHERE id = $1 AND kind = $2 AND used < $3", number, number, 10**6)
    report = await look(connection, _POLICY, Memory())
    measured = next(each for each in report.statements if "used <" in each.text)
    assert measured.measured_ms is not None
    assert measured.why_not is None


async def test_what_a_round_that_was_cut_short_tried_is_removed(connection: asyncpg.Connection) -> None:
    """Nobody decided to keep it; the journal says that it is gone."""
    await connection.execute(_SPEC.ddl())
    report = await act(connection, _POLICY, Memory())
    assert [(entry.action, entry.index_name) for entry in report.actions] == [("dropped", _SPEC.name)]
    assert report.actions[0].why.startswith("leftover")
    assert await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE indexname = $1", _SPEC.name) == 0


async def test_one_session_changes_indexes_at_a_time(connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """Another one is told so at once."""
    first = Builder(connection, lock_timeout_ms=1000, build_timeout_s=10)
    await first.open()
    with pytest.raises(Busy):
        await act(other, _POLICY, Memory())
    await first.close()
    await act(other, _POLICY, Memory())


async def test_a_former_owner_writes_nothing(connection: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """The later one has the journal."""
    memory = Memory()
    await act(connection, _POLICY, memory)
    await act(connection, _POLICY, memory)
    former = Journal(connection)
    await former.open(memory.epoch)
    await Journal(other).open()
    with pytest.raises(NotOwner):
        await former.record(Action.CREATED, table="public.things", index="x", why="", statement="")
    with pytest.raises(NotOwner):
        await act(connection, _POLICY, memory)
    assert await former.entries() == []


async def test_a_build_that_cannot_end_leaves_nothing(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    """It waits for an older transaction for no longer than it may, and removes what it began."""
    await other.execute("BEGIN; UPDATE things SET used = 1 WHERE id = 1")
    builder = Builder(connection, lock_timeout_ms=200, build_timeout_s=10)
    await builder.open()
    building = builder.build(_SPEC)
    with pytest.raises(NotBuilt):
        await building
    await other.execute("ROLLBACK")
    await builder.drop(_SPEC.table, _SPEC.name)
    assert await builder.is_valid(_SPEC.table, _SPEC.name) is None
    assert await builder.build(_SPEC) > 0
    assert await builder.is_valid(_SPEC.table, _SPEC.name)
    await builder.close()


async def test_a_server_without_the_extension_is_told_what_to_do(server: TestPostgres) -> None:
    """By name."""
    connection = await asyncpg.connect(server.url(database="postgres"))
    try:
        with pytest.raises(NotSupported, match="CREATE EXTENSION pg_stat_statements"):
            await look(connection, _POLICY, Memory())
    finally:
        await connection.close()
