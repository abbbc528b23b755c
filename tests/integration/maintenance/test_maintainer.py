"""What is worth doing is done on a real server, and the journal says why and what it changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest

from actors.maintenance.journal import Entry, MaintenanceJournal, OrderedBy
from actors.maintenance.load import Load, Thresholds
from actors.maintenance.maintainer import Done, Maintainer
from actors.maintenance.policy import PartitionSet, Policy
from actors.maintenance.step import Action
from actors.pool.turn import TURN
from actors.runtime.errors import Unavailable
from serve_app.domain.ids import first_id_at
from tests.support.postgres import TestPostgres

_ROWS = 20_000
_TASKS = PartitionSet(
    "tasks", ("tasks", "task_dispatches"), "SELECT make_task_days($1)", "SELECT drop_task_day($1)", retention_days=7
)


@pytest.fixture
async def admin(maintained: TestPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the owner of the tables, with a table that autovacuum leaves to us, and nothing done before."""
    connection = await asyncpg.connect(maintained.url())
    await connection.execute("DROP EXTENSION IF EXISTS pgstattuple; DELETE FROM maintenance_journal")
    await connection.execute("CREATE TABLE worn (id int PRIMARY KEY, text text) WITH (autovacuum_enabled = off)")
    await connection.execute(f"INSERT INTO worn SELECT i, repeat('x', 100) FROM generate_series(1, {_ROWS}) AS i")
    await _told(connection)
    yield connection
    await connection.execute("DROP TABLE worn")
    await connection.close()


async def _told(connection: asyncpg.Connection) -> None:
    """Have the statistics tell of what was done on a connection: else they may be a second behind."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT 1")


def _maintainer(postgres: TestPostgres, policy: Policy | None = None, *, busy_from: float = 1000.0) -> Maintainer:
    return Maintainer(postgres.url(), policy or Policy(), Load(Thresholds(busy_from, busy_from)))


async def _entries(admin: asyncpg.Connection, action: Action) -> list[Entry]:
    newest = await MaintenanceJournal(admin.fetch).newest(100)
    return [entry for entry in newest if entry.action == action.value]


def _actions(done: list[Done] | None, target: str) -> list[Action]:
    assert done is not None
    return [each.step.action for each in done if each.step.target == target]


async def test_what_is_worth_doing_is_done_and_written_down(
    admin: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """A new table is vacuumed and analyzed, then left alone; when most of its rows are dead it is vacuumed again."""
    maintainer = _maintainer(maintained, Policy(rest_s=0.0))
    assert _actions(await maintainer.run(), "public.worn") == [Action.VACUUM, Action.ANALYZE]
    assert await maintainer.run() == []
    await admin.execute("DELETE FROM worn WHERE id % 4 <> 0")
    await _told(admin)
    survey = await maintainer.survey()
    assert {step.action for step in survey.admitted} == {Action.ANALYZE, Action.VACUUM}
    await maintainer.run()
    [vacuum, _] = await _entries(admin, Action.VACUUM)
    assert (vacuum.target, vacuum.outcome, vacuum.ordered_by) == ("public.worn", "done", "schedule")
    assert vacuum.before["dead"] == _ROWS * 3 // 4
    assert vacuum.after is not None
    assert vacuum.after["dead"] == 0
    assert vacuum.seconds is not None
    assert "15000 dead rows" in vacuum.reason


async def test_a_bloated_index_is_rebuilt_and_is_smaller(admin: asyncpg.Connection, maintained: TestPostgres) -> None:
    """And is not rebuilt again. Where pgstattuple is there the index is read before, and the estimate not believed."""
    await admin.execute("CREATE EXTENSION pgstattuple")
    await admin.execute("DELETE FROM worn WHERE id % 10 <> 0")
    await admin.execute("VACUUM (ANALYZE) worn")
    policy = Policy(index_bytes_min=64 * 1024, reindex_rest_s=0.0)
    done = await _maintainer(maintained, policy).run(only=frozenset({Action.REINDEX}))
    assert _actions(done, "public.worn_pkey") == [Action.REINDEX]
    [entry] = await _entries(admin, Action.REINDEX)
    assert entry.after is not None
    before, after = entry.before["bytes"], entry.after["bytes"]
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert after < before / 4
    assert await _maintainer(maintained, policy).run(only=frozenset({Action.REINDEX})) == []


async def test_an_estimate_that_the_index_itself_denies_rebuilds_nothing(
    admin: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """The planner is told that the table has a tenth of its rows."""
    await admin.execute("VACUUM (ANALYZE) worn")
    await admin.execute("UPDATE pg_class SET reltuples = 2000 WHERE relname = 'worn_pkey'")
    policy, only = Policy(index_bytes_min=64 * 1024), frozenset({Action.REINDEX})
    steps = (await _maintainer(maintained, policy).survey()).steps
    assert [step.target for step in steps if step.action in only] == ["public.worn_pkey"]
    await admin.execute("CREATE EXTENSION pgstattuple")
    assert await _maintainer(maintained, policy).run(only=only) == []


async def test_what_a_rebuild_that_was_cut_short_leaves_is_dropped(
    admin: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """A writer that stays open makes a rebuild give up: that is written down, and the next run drops what it left."""
    await admin.execute("ANALYZE worn")
    await admin.execute("UPDATE pg_class SET reltuples = 2000 WHERE relname = 'worn_pkey'")
    writer = await asyncpg.connect(maintained.url())
    only = frozenset({Action.REINDEX, Action.DROP_LEFTOVER})
    policy = Policy(index_bytes_min=64 * 1024)
    async with writer.transaction():
        await writer.execute("UPDATE worn SET text = 'y' WHERE id = 1")
        done = await _maintainer(maintained, policy).run(only=only)
    await writer.close()
    assert done is not None
    [failed] = done
    assert failed.error is not None
    assert "55P03" in failed.error
    leftovers = "SELECT relname FROM pg_class WHERE relname ~ '_ccnew'"
    assert await admin.fetchval(leftovers) == "worn_pkey_ccnew"
    done = await _maintainer(maintained, policy).run(only=only)
    assert _actions(done, "public.worn_pkey_ccnew") == [Action.DROP_LEFTOVER]
    assert await admin.fetchval(leftovers) is None
    assert [entry.outcome for entry in await _entries(admin, Action.REINDEX)] == ["failed"]


async def test_days_are_made_and_dropped_in_one_place(admin: asyncpg.Connection, maintained: TestPostgres) -> None:
    """Those ahead, and those past the retention; in one run, and then there is nothing to do."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for ago in (20, 9):
        day = today - timedelta(days=ago)
        low, high = (first_id_at(moment) for moment in (day, day + timedelta(days=1)))
        await admin.execute(
            f"CREATE TABLE tasks_{day:%Y%m%d} PARTITION OF tasks FOR VALUES FROM ('{low}') TO ('{high}')"
        )
    policy = Policy(partitions=(replace(_TASKS, ahead_days=5),))
    done = await _maintainer(maintained, policy).run(only=frozenset({Action.MAKE_PARTITIONS, Action.DROP_PARTITION}))
    assert _actions(done, "tasks") == [Action.MAKE_PARTITIONS, Action.DROP_PARTITION]
    assert done is not None
    assert done[0].after == {"made": 4}
    assert done[1].after == {"dropped": ", ".join(f"tasks_{today - timedelta(days=ago):%Y%m%d}" for ago in (20, 9))}
    assert await _maintainer(maintained, policy).run(only=frozenset({Action.MAKE_PARTITIONS})) == []


async def test_one_at_a_time(admin: asyncpg.Connection, maintained: TestPostgres) -> None:
    """Whoever comes while somebody maintains, or builds indexes, finds that it is not his turn."""
    await admin.execute("SELECT pg_advisory_lock($1::bigint)", TURN)
    assert await _maintainer(maintained).run() is None
    await admin.execute("SELECT pg_advisory_unlock($1::bigint)", TURN)
    assert await _maintainer(maintained).run() is not None


async def test_while_the_database_is_busy_only_what_is_due_is_done(
    admin: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """The rest waits for a quiet hour, or for a person."""
    await admin.execute("VACUUM (ANALYZE) worn")
    await admin.execute("DELETE FROM worn WHERE id % 8 = 0")
    await _told(admin)
    busy = _maintainer(maintained, busy_from=0.5)
    worker = await asyncpg.connect(maintained.url())
    works = asyncio.create_task(worker.execute("SELECT pg_sleep(600)"))
    survey = await busy.survey()
    assert survey.is_busy
    assert [step.action for step in survey.steps if step.target == "public.worn"] == [Action.VACUUM, Action.ANALYZE]
    assert await busy.run() == []
    done = await busy.run(ordered_by=OrderedBy.HAND)
    assert _actions(done, "public.worn") == [Action.VACUUM, Action.ANALYZE]
    assert {entry.ordered_by for entry in await _entries(admin, Action.VACUUM)} == {"hand"}
    worker.terminate()
    await asyncio.gather(works, return_exceptions=True)


async def test_a_run_that_is_cancelled_ends_its_statement_and_shows_in_the_journal(
    admin: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """The next one has the turn at once, and says that the step was cut short."""
    await admin.execute("ANALYZE worn")
    maintainer = _maintainer(maintained, Policy(rest_s=0.0))
    blocker = await asyncpg.connect(maintained.url())
    async with blocker.transaction():
        # Longer than this test, shorter than the lock timeout: the vacuum waits when it is cancelled.
        await blocker.execute("LOCK TABLE worn IN SHARE UPDATE EXCLUSIVE MODE")
        running = asyncio.create_task(_maintainer(maintained).run())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'VACUUM%' AND wait_event_type = 'Lock'"
        async with asyncio.timeout(10):
            while not await admin.fetchval(waits):
                await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await admin.fetchval(waits) == 0
    await blocker.close()
    assert _actions(await maintainer.run(), "public.worn") == [Action.VACUUM]
    assert [entry.outcome for entry in await _entries(admin, Action.VACUUM)] == ["done", "interrupted"]


async def test_a_database_that_is_away_is_an_error_of_ours(own_postgres: TestPostgres) -> None:
    """The scheduler tries again."""
    own_postgres.stop()
    with pytest.raises(Unavailable):
        await _maintainer(own_postgres).run()


async def test_a_busy_database_is_left_alone_between_two_steps(
    admin: asyncpg.Connection, maintained: TestPostgres
) -> None:
    """For four times as long as the step took."""
    loop = asyncio.get_running_loop()
    await admin.execute(f"INSERT INTO worn SELECT i, 'y' FROM generate_series({_ROWS + 1}, {4 * _ROWS}) AS i")
    await _told(admin)
    eager = _maintainer(maintained, Policy(busy_share=1e-9, rows_min=1, rest_s=0.0), busy_from=1e-9)
    ends: list[tuple[float, float]] = []

    def told(done: Done, _total: int) -> None:
        ends.append((loop.time(), done.seconds))

    await eager.run(told)
    assert len(ends) > 1
    for (earlier, took_s), (later, next_took_s) in pairwise(ends):
        assert later - next_took_s - earlier >= 4 * took_s
