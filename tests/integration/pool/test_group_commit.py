"""Group commit on a real server."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

import asyncpg

from actors.pool.database import Database
from actors.runtime.errors import RowRejected
from tests.integration.pool.conftest import INSERT, Entry, OpenDatabase


def entries(count: int, start: int = 0) -> list[Entry]:
    return [Entry(start + index, index + 1, f"note {start + index}") for index in range(count)]


async def submit(committer: Any, rows: list[Entry]) -> list[Any]:
    return await asyncio.gather(*(committer.submit(row) for row in rows), return_exceptions=True)


async def stored(admin: asyncpg.Connection) -> dict[int, int]:
    return {row["id"]: row["amount"] for row in await admin.fetch("SELECT id, amount FROM entries")}


async def test_every_row_gets_its_own_result(database: Database, admin: asyncpg.Connection) -> None:
    """Five hundred rows go in few statements, and each caller hears of its own."""
    committer = database.committer(INSERT)
    rows = entries(500)
    random.Random(7).shuffle(rows)
    assert await submit(committer, rows) == [row.amount for row in rows]
    assert await stored(admin) == {row.id: row.amount for row in rows}
    assert committer.stats.batches <= 10


async def test_poisoned_rows_fail_alone(database: Database, admin: asyncpg.Connection) -> None:
    """Checked at once, checked at commit, not to be encoded by asyncpg, not to be stored by the server."""
    rows = entries(64)
    poison = {
        5: (rows[5]._replace(amount=0), "23514", "amount_is_positive"),
        20: (rows[20]._replace(amount=2**31), "22000", None),
        33: (rows[33]._replace(note="a\0b"), "22021", None),
    }
    for index, (row, _, _) in poison.items():
        rows[index] = row
    outcomes = await submit(database.committer(INSERT), rows)
    for index, outcome in enumerate(outcomes):
        if index in poison:
            assert isinstance(outcome, RowRejected)
            assert (outcome.sqlstate, outcome.constraint) == poison[index][1:]
        else:
            assert outcome == rows[index].amount
    assert sorted(await stored(admin)) == [index for index in range(64) if index not in poison]


async def test_a_rule_that_is_checked_at_commit_rejects_one_of_two(
    database: Database, admin: asyncpg.Connection
) -> None:
    """A deferred constraint fails the whole batch at COMMIT; splitting finds the row that came second."""
    rows = entries(16)
    rows[9] = rows[9]._replace(note=rows[2].note)
    outcomes = await submit(database.committer(INSERT), rows)
    assert [index for index, outcome in enumerate(outcomes) if isinstance(outcome, RowRejected)] == [9]
    assert outcomes[9].args == ("insert_entries", "23505", "note_is_unique")
    assert len(await stored(admin)) == 15


async def test_rows_of_one_key_apply_in_order(database: Database, admin: asyncpg.Connection) -> None:
    """Each of ten updates of one row is applied, the last one last."""
    committer = database.committer(INSERT, in_flight_max=4)
    assert await submit(committer, [Entry(1, amount, "one") for amount in range(1, 11)]) == list(range(1, 11))
    assert await stored(admin) == {1: 10}


async def test_batches_in_one_order_do_not_deadlock(open_database: OpenDatabase) -> None:
    """Two processes that update the same rows at once only wait for each other."""
    rng = random.Random(11)
    async with open_database(want=3) as one, open_database(want=3) as other:
        committers = [database.committer(INSERT, in_flight_max=3) for database in (one, other)]
        for _ in range(15):
            rows = entries(40)
            shuffled = rng.sample(rows, len(rows))
            both = list(await asyncio.gather(submit(committers[0], rows), submit(committers[1], shuffled)))
            assert both == [[row.amount for row in rows], [row.amount for row in shuffled]]
        assert sum(committer.stats.repeats for committer in committers) == 0


async def test_batches_that_do_deadlock_run_again(open_database: OpenDatabase, admin: asyncpg.Connection) -> None:
    """Without a key to sort by, two batches can lock in opposite orders; the one that the server ends is repeated."""
    await admin.execute("INSERT INTO entries SELECT i, 1, 'note ' || i FROM generate_series(0, 1) AS i")
    slow = dataclasses.replace(
        INSERT,
        key=None,
        sql="""
            WITH input AS MATERIALIZED (
                SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[]) WITH ORDINALITY
                    AS item (id, amount, note, ordinal)
            )
            SELECT input.ordinal::int, locked.amount FROM input CROSS JOIN LATERAL (
                SELECT amount, pg_sleep(0.2) FROM entries WHERE id = input.id AND input.note <> '' FOR UPDATE
            ) AS locked ORDER BY input.ordinal
        """,
    )
    await admin.execute("ALTER SYSTEM SET deadlock_timeout = '50ms'")
    await admin.execute("SELECT pg_reload_conf()")
    try:
        async with open_database(want=1) as one, open_database(want=1) as other:
            committers = [database.committer(slow, in_flight_max=1) for database in (one, other)]
            rows = entries(2)
            outcomes = list(await asyncio.gather(submit(committers[0], rows), submit(committers[1], rows[::-1])))
            assert outcomes == [[1, 1], [1, 1]]
            assert sum(committer.stats.repeats for committer in committers) >= 1
    finally:
        await admin.execute("ALTER SYSTEM RESET deadlock_timeout")
        await admin.execute("SELECT pg_reload_conf()")


async def test_ended_connections_lose_nothing(database: Database, admin: asyncpg.Connection) -> None:
    """While server processes are ended at random, every row is stored and every caller hears of its own."""
    committer = database.committer(INSERT)
    done = asyncio.Event()

    async def kill() -> None:
        while not done.is_set():
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'test-%' LIMIT 1"
            )
            await asyncio.sleep(0.05)

    async def client(index: int) -> None:
        for row in entries(40, start=index * 1000):
            assert await committer.submit(row) == row.amount

    killing = asyncio.ensure_future(kill())
    await asyncio.gather(*(client(index) for index in range(32)))
    done.set()
    await killing
    assert len(await stored(admin)) == 32 * 40
    assert committer.stats.repeats > 0, "the test did not hit anything"


async def test_callers_that_hang_up_harm_nobody(database: Database, admin: asyncpg.Connection) -> None:
    """Every other submitter is cancelled at some point; the rest get their results."""
    committer = database.committer(INSERT)
    rows = entries(200)
    tasks = [asyncio.ensure_future(committer.submit(row)) for row in rows]
    for index, task in enumerate(tasks):
        if index % 2:
            await asyncio.sleep(0)
            task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcomes[index] for index in range(0, 200, 2)] == [row.amount for row in rows[::2]]
    assert set(await stored(admin)) >= {row.id for row in rows[::2]}


async def test_closing_finishes_what_was_submitted(open_database: OpenDatabase, admin: asyncpg.Connection) -> None:
    """A drain loses no row."""
    async with open_database() as database:
        tasks = [asyncio.ensure_future(database.committer(INSERT).submit(row)) for row in entries(50)]
        await asyncio.sleep(0)
    assert len(await asyncio.gather(*tasks)) == 50
    assert len(await stored(admin)) == 50
