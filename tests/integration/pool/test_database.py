"""Reads, single writes and transactions on a real server."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from actors.pool.database import Database
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, RowRejected, Unavailable
from tests.integration.pool.conftest import OpenDatabase, backends, until

_ADD = "INSERT INTO entries (id, amount, note) VALUES ($1, $2, $3)"


async def _count(admin: asyncpg.Connection) -> int:
    return int(await admin.fetchval("SELECT count(*) FROM entries"))


async def test_reads_and_writes(database: Database) -> None:
    """What one statement stored another reads."""
    assert await database.execute(_ADD, 1, 10, "one") == "INSERT 0 1"
    assert [tuple(row) for row in await database.fetch("SELECT id, amount FROM entries")] == [(1, 10)]
    assert (await database.fetchrow("SELECT note FROM entries"))["note"] == "one"  # type: ignore[index]
    assert await database.fetchrow("SELECT note FROM entries WHERE id = 2") is None


async def test_connections_bear_the_guards(database: Database) -> None:
    """Their settings bound what hangs."""
    settings = ("jit", "statement_timeout", "idle_in_transaction_session_timeout")
    row = await database.fetchrow("SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in settings))
    assert row is not None
    assert tuple(row) == ("off", "12s", "30s")


async def test_a_row_that_breaks_a_rule_is_rejected_by_name(database: Database) -> None:
    """Also at commit, and where asyncpg itself cannot encode the value."""
    with pytest.raises(RowRejected) as rejected:
        await database.execute(_ADD, 1, 0, "one")
    assert rejected.value.args == ("execute", "23514", "amount_is_positive")
    with pytest.raises(RowRejected) as rejected:
        await database.execute(_ADD, 1, 2**40, "one")
    assert rejected.value.sqlstate == "22000"
    await database.execute(_ADD, 1, 1, "one")
    with pytest.raises(RowRejected) as rejected:
        async with database.transaction() as connection:
            await connection.execute(_ADD, 2, 1, "one")
    assert rejected.value.constraint == "note_is_unique"
    assert database.pool.open == 1, "no connection was lost over it"


async def test_a_wrong_statement_raises_the_server_s_error(database: Database) -> None:
    """It is a defect, not an outcome."""
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch("SELECT * FROM nowhere")


async def test_a_transaction_commits_or_rolls_back(database: Database, admin: asyncpg.Connection) -> None:
    """An exception of the body undoes all of it and keeps the connection."""

    async def fail() -> None:
        async with database.transaction() as connection:
            await connection.execute(_ADD, 1, 1, "one")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await fail()
    assert await _count(admin) == 0
    async with database.transaction() as connection:
        await connection.execute(_ADD, 1, 1, "one")
        await connection.execute(_ADD, 2, 1, "two")
    assert await _count(admin) == 2
    assert (database.pool.open, database.pool.idle) == (1, 1)


async def test_a_cancelled_transaction_is_rolled_back(database: Database, admin: asyncpg.Connection) -> None:
    """Its connection is closed; nothing of it is ever committed."""
    inside = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as connection:
            await connection.execute(_ADD, 1, 1, "one")
            inside.set()
            await connection.fetch("SELECT pg_sleep(60)")

    task = asyncio.ensure_future(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await database.fetchrow("SELECT count(*) AS n FROM entries"))["n"] == 0  # type: ignore[index]
    assert await _count(admin) == 0


async def test_a_read_past_its_deadline_is_cancelled_at_the_server(
    open_database: OpenDatabase, admin: asyncpg.Connection
) -> None:
    """The connection is replaced, and the server does not go on working for nobody."""
    async with open_database(want=1) as database:
        with pytest.raises(DeadlineExceeded):
            await database.fetch("SELECT pg_sleep(60) AS marker", timeout_s=0.05)
        async with asyncio.timeout(5):
            assert await database.fetch("SELECT 1") != []
        running = await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60) AS marker' "
        )
        assert running == 0
        assert database.pool.open == 1


async def test_a_cancelled_read_costs_its_connection_alone(database: Database) -> None:
    """The next caller gets an answer of its own, not a late one."""
    for _ in range(5):
        task = asyncio.ensure_future(database.fetch("SELECT 'late', pg_sleep(0.2)"))
        await asyncio.sleep(0.01)
        task.cancel()
        assert [tuple(row) for row in await database.fetch("SELECT 'mine'")] == [("mine",)]
    assert database.pool.open <= 4


async def test_a_write_past_its_deadline_is_unknown(database: Database) -> None:
    """It was sent."""
    with pytest.raises(OutcomeUnknown):
        await database.execute("SELECT pg_sleep(60)", timeout_s=0.05)


async def test_a_transaction_past_its_deadline_did_nothing(database: Database, admin: asyncpg.Connection) -> None:
    """COMMIT was never sent."""

    async def dawdle() -> None:
        async with database.transaction(timeout_s=0.1) as connection:
            await connection.execute(_ADD, 1, 1, "one")
            await connection.execute("SELECT pg_sleep(60)")

    with pytest.raises(DeadlineExceeded):
        await dawdle()
    assert await _count(admin) == 0


async def test_a_read_survives_a_lost_connection(database: Database, admin: asyncpg.Connection) -> None:
    """It is repeated on another one, once."""
    reading = asyncio.ensure_future(database.fetch("SELECT pg_sleep(0.3), 'read' AS what"))
    await until(admin, "SELECT true FROM pg_stat_activity WHERE query LIKE '%AS what' AND wait_event = 'PgSleep'")
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%AS what'")
    assert (await reading)[0]["what"] == "read"


async def test_a_write_on_a_lost_connection_is_unknown(database: Database, admin: asyncpg.Connection) -> None:
    """It is never repeated by itself."""
    (pid,) = [row["pid"] for row in await database.fetch("SELECT pg_backend_pid() AS pid")]
    writing = asyncio.ensure_future(database.execute("SELECT pg_sleep(60)"))
    await until(admin, "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1", pid)
    await admin.execute("SELECT pg_terminate_backend($1)", pid)
    with pytest.raises(OutcomeUnknown, match="ConnectionDoesNotExistError"):
        await writing


async def test_a_transaction_that_lost_its_connection_did_nothing(
    database: Database, admin: asyncpg.Connection
) -> None:
    """The loss came before COMMIT was sent."""

    async def lose() -> None:
        async with database.transaction() as connection:
            await connection.execute(_ADD, 1, 1, "one")
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await admin.execute("SELECT pg_terminate_backend($1, 1000)", pid)
            await connection.execute(_ADD, 2, 1, "two")

    with pytest.raises(Unavailable):
        await lose()
    assert await _count(admin) == 0


async def test_idle_connections_that_were_ended_are_replaced_unseen(
    database: Database, admin: asyncpg.Connection
) -> None:
    """After all of them died, every caller is still served."""
    await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.05)") for _ in range(4)))
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name LIKE 'test-%'"
    )
    assert len(await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(20)))) == 20


async def test_the_server_never_sees_more_connections_than_leased(
    open_database: OpenDatabase, admin: asyncpg.Connection
) -> None:
    """However many callers there are, and though some are cancelled on the way."""
    async with open_database(want=3) as database:
        most = 0
        tasks = [asyncio.ensure_future(database.fetch("SELECT pg_sleep(0.01)")) for _ in range(100)]
        for index, task in enumerate(tasks):
            if index % 7 == 0:
                task.cancel()
            most = max(most, len(await backends(admin, "test-")))
        await asyncio.gather(*tasks, return_exceptions=True)
        assert most <= 3


async def test_a_database_that_is_not_there_is_unavailable(url: str) -> None:
    """Opening does not fail: what needs it does, clearly."""
    database = await Database.open("postgresql://x@127.0.0.1:1/x", name="test", manager=None, want=1)
    with pytest.raises(Unavailable, match="cannot connect"):
        await database.fetch("SELECT 1")
    await database.close()
    database = await Database.open(url.rsplit("/", 1)[0] + "/nowhere", name="test", manager=None, want=1)
    with pytest.raises(Unavailable, match="InvalidCatalogNameError"):
        await database.fetch("SELECT 1")
    await database.close()


async def test_a_closed_database_has_no_connections(open_database: OpenDatabase, admin: asyncpg.Connection) -> None:
    """And refuses."""
    async with open_database() as database:
        await database.fetch("SELECT 1")
    with pytest.raises(Unavailable, match="closed"):
        await database.fetch("SELECT 1")
    await until(admin, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'test-%'")


async def test_too_many_readers_are_refused(open_database: OpenDatabase) -> None:
    """The line before the connections is bounded."""
    async with open_database(want=1) as database:
        sleepy = "SELECT pg_sleep(0.1)"
        tasks = [asyncio.ensure_future(database.fetch(sleepy, timeout_s=0.3)) for _ in range(1100)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) >= 90
