"""The optimizer's actor in this process, on a real database with the gateway's schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from actors.optimizer.actor import QueryOptimizerActor
from actors.optimizer.journal import Journal
from actors.optimizer.policy import Policy
from actors.optimizer.state import Mode, OptimizerState
from tests.support.postgres import TestPostgres

_POLICY = Policy(watch_s=0, measure_max_s=5)
_ROUND_WITHIN_S = 60.0


@pytest.fixture
async def connection(postgres: TestPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the owner, with a table of the operator's own that lacks an index."""
    opened = await asyncpg.connect(postgres.url())
    await opened.execute(
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; DROP TABLE IF EXISTS visits;"
        "CREATE TABLE visits (id bigint PRIMARY KEY, page int NOT NULL);"
        "INSERT INTO visits SELECT n, n % 5000 FROM generate_series(1, 50000) AS n; ANALYZE visits;"
        "CREATE INDEX visits_twice ON visits (id);"
        "SELECT pg_stat_statements_reset()"
    )
    yield opened
    await opened.execute("DROP TABLE visits; TRUNCATE optimizer_journal; DELETE FROM optimizer_epochs")
    await opened.close()


@asynccontextmanager
async def _actor(postgres: TestPostgres, mode: Mode) -> AsyncIterator[QueryOptimizerActor]:
    actor = QueryOptimizerActor("v1", postgres.url, mode, 0.05, _POLICY)
    assert await actor.ensure_running() == "v1"
    try:
        yield actor
    finally:
        await actor.stop()


async def _after_rounds(actor: QueryOptimizerActor, count: int = 1) -> OptimizerState:
    async with asyncio.timeout(_ROUND_WITHIN_S):
        while (state := await actor.state()).rounds + state.failures < count:
            await asyncio.sleep(0.05)
    return state


async def _visit(connection: asyncpg.Connection) -> None:
    for page in range(20):
        await connection.fetch("SELECT * FROM visits WHERE page = $1", page)


async def test_by_itself_it_makes_what_lacks_and_drops_nothing_of_others(
    postgres: TestPostgres, connection: asyncpg.Connection
) -> None:
    """Their duplicate is reported; the journal has what was made."""
    await _visit(connection)
    async with _actor(postgres, Mode.AUTO) as actor:
        state = await _after_rounds(actor)
    assert state.fault is None
    assert state.is_owner
    names = {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes WHERE tablename = 'visits'")}
    assert "visits_twice" in names
    assert any(name.startswith("easypay_opt_visits_page") for name in names)
    assert state.report is not None
    assert "visits_twice" in {burden.index.name for burden in state.report.burdens}
    assert {entry.action for entry in await Journal(connection).entries()} >= {"created"}


async def test_an_adviser_changes_nothing(postgres: TestPostgres, connection: asyncpg.Connection) -> None:
    """It proposes."""
    await _visit(connection)
    async with _actor(postgres, Mode.ADVISE) as actor:
        state = await _after_rounds(actor)
    assert state.report is not None
    assert [proposal.table for proposal in state.report.proposals] == ["public.visits"]
    assert not state.is_owner
    assert await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE tablename = 'visits'") == 2


async def test_one_that_lost_the_database_stands_by(postgres: TestPostgres, connection: asyncpg.Connection) -> None:
    """And looks on, without acting."""
    async with _actor(postgres, Mode.AUTO) as actor:
        await _after_rounds(actor)
        await Journal(connection).open()
        # A round that was under way may still end well.
        async with asyncio.timeout(_ROUND_WITHIN_S):
            while (state := await actor.state()).failures == 0:
                await asyncio.sleep(0.05)
        assert "epoch" in str(state.fault)
        assert not state.is_owner


async def test_a_server_that_is_away_fails_a_round_and_no_more(postgres: TestPostgres) -> None:
    """The next round tries again."""
    url = postgres.url().replace(str(postgres.port), "1")
    actor = QueryOptimizerActor("v1", lambda: url, Mode.AUTO, 0.01, _POLICY)
    await actor.ensure_running()
    state = await _after_rounds(actor, 2)
    await actor.stop()
    assert state.failures >= 2
    assert "cannot connect" in str(state.fault)
