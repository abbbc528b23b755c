"""The optimizer on databases that it has never seen, with writers at work beside it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

import asyncpg
import pytest

from actors.optimizer.builds import Builder
from actors.optimizer.decision import Bounds
from actors.optimizer.journal import Entry, Journal
from actors.optimizer.measure import Meter
from actors.optimizer.policy import Drops, Policy
from actors.optimizer.redundancy import Burden, Fault
from actors.optimizer.removal import Removals
from actors.optimizer.report import Report
from actors.optimizer.rounds import Memory, act, look, undo
from actors.optimizer.server import Examples, read_facts, read_statements
from actors.optimizer.survey import survey
from tests.support.optimizer_schemas import LOG, ORDERS, STAR, Schema, Traffic, drive
from tests.support.postgres import TestPostgres

ROWS = 100_000
# What an index costs writers is measured in microseconds: on a machine that others use, that is noise. The benchmark
# holds it to 10 %; here it only must not be absurd.
_BOUNDS = Bounds(write_loss_max=1.0)
_POLICY = Policy(drops=Drops.ALL, observe_min_s=0, watch_s=1.0, bounds=_BOUNDS)

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def _busy(schema: Schema, url: str) -> AsyncIterator[asyncpg.Connection]:
    """Have readers and writers at work, and lend a connection beside them."""
    await drive(url, schema.write, 50)
    await drive(url, schema.read, 20)
    traffic = [Traffic(url, schema.read, "reader", 0.05), Traffic(url, schema.write, "writer", 0.05)]
    tasks = [asyncio.create_task(each.run()) for each in traffic]
    connection = await asyncpg.connect(url, server_settings={"application_name": "easypay-optimizer"})
    try:
        yield connection
    finally:
        await connection.close()
        for each in traffic:
            each.stop()
        await asyncio.gather(*tasks)


async def _created(server: TestPostgres, schema: Schema) -> str:
    return await schema.create(lambda database: server.url(database=database), ROWS)


def _made(report: Report, action: str) -> list[Entry]:
    return [entry for entry in report.actions if entry.action == action]


async def _definitions(connection: asyncpg.Connection, table: str) -> dict[str, str]:
    rows = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1", table)
    return {row[0]: row[1].partition(" USING ")[2] for row in rows}


async def test_a_missing_composite_and_a_missing_partial_index_are_found(server: TestPostgres) -> None:
    """Both are kept for what they measure; one that is undone is not made again. A look changes nothing."""
    url = await _created(server, ORDERS)
    async with _busy(ORDERS, url) as connection:
        before = await _definitions(connection, "orders")
        looked = await look(connection, _POLICY, Memory())
        assert await _definitions(connection, "orders") == before
        assert not await Journal(connection).exists()
        assert {each.kind for each in looked.warnings} == {"sequential_scan"}
        assert len(looked.proposals) == 2

        report = await act(connection, _POLICY, Memory())
        after = await _definitions(connection, "orders")
        added = sorted(definition for name, definition in after.items() if name not in before)
        assert any(each.startswith("btree (created_at) WHERE (status = 'pending'") for each in added), added
        assert any(each.startswith("btree (customer_id, created_at DESC)") for each in added), added
        created = _made(report, "created")
        assert all(entry.after_ms is not None and entry.before_ms is not None for entry in created)
        assert sum(entry.after_ms or 0 for entry in created) < 0.5 * sum(entry.before_ms or 0 for entry in created)
        assert [entry.id for entry in await Journal(connection).entries()] == [
            entry.id for entry in reversed(report.actions)
        ]

        undone = await undo(connection, _POLICY, created[0].id)
        assert created[0].index_name not in await _definitions(connection, "orders")
        again = await Journal(connection).find(created[0].id)
        assert again is not None
        assert again.undone_by == undone.id
        with pytest.raises(LookupError):
            await undo(connection, _POLICY, created[0].id)
        second = await act(connection, _POLICY, Memory())
        assert created[0].index_name not in {entry.index_name for entry in second.actions}


async def test_a_star_join_gets_the_indexes_of_its_large_table(server: TestPostgres) -> None:
    """What a filter on a small table selects is joined by one, and a filter of its own goes by another."""
    url = await _created(server, STAR)
    async with _busy(STAR, url) as connection:
        report = await act(connection, _POLICY, Memory())
        created = _made(report, "created")
        definitions = (await _definitions(connection, "sales")).values()
        assert any(each.startswith("btree (product_id") for each in definitions), definitions
        assert any(each.startswith("btree (store_id, day)") for each in definitions), definitions
        made = {name for name in await _definitions(connection, "sales") if name.startswith("easypay_opt_")}
        assert made <= {entry.index_name for entry in created}


async def test_redundant_and_harmful_indexes_go_and_constraints_stay(server: TestPostgres) -> None:
    """The reads that used a duplicate use its twin; writers wait for nobody."""
    url = await _created(server, LOG)
    async with _busy(LOG, url) as connection:
        # A build that failed leaves an index that is not valid.
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("CREATE UNIQUE INDEX CONCURRENTLY readings_leftover ON readings (kind)")
        report = await act(connection, _POLICY, Memory())
        assert set(await _definitions(connection, "readings")) == {
            "readings_pkey",
            "readings_once",
            "readings_by_device_and_time",
        }
        dropped = {entry.index_name: entry.why.partition(":")[0] for entry in _made(report, "dropped")}
        assert dropped == {
            "readings_leftover": "invalid",
            "readings_by_device": "redundant",
            "readings_by_device_and_time_again": "duplicate",
            "readings_by_payload": "unused",
        }
        restored = await undo(connection, _POLICY, _made(report, "dropped")[-1].id)
        assert restored.index_name in await _definitions(connection, "readings")
    latest = (await drive(url, LOG.read, 20)).times_ms["latest"]
    assert median(latest) < 50


async def test_an_index_that_is_needed_comes_back(server: TestPostgres) -> None:
    """Where the statistics call it unused, and a statement becomes slower without it."""
    url = await _created(server, LOG)
    async with _busy(LOG, url) as connection:
        await connection.execute(
            "DROP INDEX readings_by_device; DROP INDEX readings_by_device_and_time_again;"
            " DROP INDEX readings_by_payload"
        )
        removals = await _removals(connection)
        needed = next(
            index for index in removals.found.catalog.indexes() if index.name == "readings_by_device_and_time"
        )
        entries = await removals.remove(Burden(needed, Fault.UNUSED, "the statistics are wrong"))
        assert [entry.action for entry in entries] == ["dropped", "restored"]
        assert entries[0].before_ms is not None
        assert entries[0].after_ms is not None
        assert entries[0].after_ms > entries[0].before_ms
        assert needed.name in await _definitions(connection, "readings")
        await removals.builder.close()


async def _removals(connection: asyncpg.Connection) -> Removals:
    facts = await read_facts(connection)
    statements = await read_statements(connection, facts)
    found = await survey(connection, facts, statements, Examples(), _POLICY, random.Random(1))
    builder = Builder(connection, lock_timeout_ms=_POLICY.lock_timeout_ms, build_timeout_s=60)
    await builder.open()
    journal = Journal(connection)
    await journal.open()
    return Removals(found, Meter(connection, timeout_ms=5000), builder, journal, _POLICY)
