"""Every statement of every queries.sql finds its rows by an index, however large the tables are.

Judged by the server's own plans, with statistics of real rows and arguments sampled from them. 30,000 payments are
enough for every large table to be cheaper to read by its index; EASYPAY_TEST_PAYMENTS=1000000 makes as many as one
likes, at about 0.5 ms each.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest

from actors.pool.statements import load_statements
from actors.scheduler.store import PLANNER_SETTINGS
from tests.support.grown import grow
from tests.support.plans import explain, explain_settled, read_whole, rows_looked_at, writes
from tests.support.postgres import TestPostgres
from tests.support.started import started
from tests.support.statement_arguments import Sample, arguments, filled, sample

_PAYMENTS = int(os.environ.get("EASYPAY_TEST_PAYMENTS", "30000"))
pytestmark = pytest.mark.timeout(300 + _PAYMENTS / 100)
_ROOT = Path(__file__).parents[3]
_LARGE_ROWS = 5000
_LOOKED_AT_MAX = 2000
"""Rows of large tables that a statement may look at: pages are of 50, batches of 32, and some join five tables."""

# Reads all of a table: why that is as it should be.
_READS_WHOLE = {
    "serve_app.merchants.list_keys": "`easypay keys list` shows every key; no request and no schedule runs it",
    **dict.fromkeys(
        ("serve_app.ops.find_payment_owner", "serve_app.ops.find_delivery_owner"),
        "an operator asks by hand whose it is: one probe for each merchant; an index by id would cost every write",
    ),
    "serve_app.ops.unsuccessful_deliveries": (
        "each ten seconds while somebody is at the operations page: one probe of a partial index for each merchant"
    ),
    "serve_app.reconciliation.cancel_undone": "once for each run of a job, over the lines that this run has staged",
}
# Looks at more rows than _LOOKED_AT_MAX: how many, and why that is borne.
_LOOKS_AT = {
    "serve_app.ledger_checks.list_changed": (
        max(10_000, _PAYMENTS),
        "a block range index finds whole ranges of pages, twice; small events fill what large ones left of older ones, "
        "which widens the ranges, of generated ones by a load of 50,000; once an hour",
    ),
    "actors.maintenance.history": (5000, "the newest 5000 entries of a journal, once a minute"),
    "serve_app.payments.list_payments of a status": (
        _PAYMENTS,
        "the newest, until a page is full: with an index by status no update of a payment could stay on its page (HOT)",
    ),
    "serve_app.webhooks.feed_start of a type": (
        _PAYMENTS,
        "the feed in its order, until a page is full: an index by type would cost every payment",
    ),
    "serve_app.webhooks.list_unsuccessful_deliveries": (
        max(_LOOKED_AT_MAX, _PAYMENTS // 50),
        "an index of what did not go well, a hundredth, sorted rather than walked while that is little",
    ),
    "actors.scheduler.heads": (max(_LOOKED_AT_MAX, _PAYMENTS // 300), "all that is pending, once for each scheduler"),
    "actors.scheduler.list_pending": (max(_LOOKED_AT_MAX, _PAYMENTS // 300), "sorts what is pending: a queue is short"),
    "actors.scheduler.list_tasks of a function": (
        3 * _PAYMENTS,
        "operators alone: the newest, until a page is full; an index by name would cost every task",
    ),
}
# Read the catalogs of any server, and a journal of its own with some rows a day: no table of the gateway.
_NOT_OF_THE_GATEWAY = frozenset({"actors.optimizer"})
# Ends a session of the server: it is planned here and not run.
_NOT_RUN = frozenset({"actors.maintenance.end_session"})


class Grown(NamedTuple):
    """A server that was in use, and the merchant that has half of it."""

    postgres: TestPostgres
    merchant: UUID


@pytest.fixture(scope="module")
def grown() -> Iterator[Grown]:
    """Fill a server of its own."""
    with started(TestPostgres()) as server:
        asyncio.run(server.create_schema())
        yield Grown(server, asyncio.run(grow(server.url(), _PAYMENTS)))


@pytest.fixture
async def connection(grown: Grown) -> AsyncIterator[asyncpg.Connection]:
    """Connect to it."""
    opened = await asyncpg.connect(grown.postgres.url(), statement_cache_size=0)
    yield opened
    await opened.close()


def _packages() -> list[str]:
    files = [file for folder in ("actors", "serve_app") for file in sorted((_ROOT / folder).rglob("queries.sql"))]
    packages = [".".join(file.parent.relative_to(_ROOT).parts) for file in files]
    return [package for package in packages if package not in _NOT_OF_THE_GATEWAY]


async def _sampled(connection: asyncpg.Connection, grown: Grown) -> tuple[Sample, frozenset[str]]:
    large = await connection.fetch(
        "SELECT relname FROM pg_class "
        "WHERE relkind = 'r' AND reltuples >= $1 AND relnamespace = 'public'::regnamespace",
        _LARGE_ROWS,
    )
    return await sample(connection, grown.merchant), frozenset(row["relname"] for row in large)


async def test_there_are_arguments_for_every_statement_and_no_other(
    connection: asyncpg.Connection, grown: Grown
) -> None:
    """A new statement is judged, or this fails."""
    drawn, _ = await _sampled(connection, grown)
    statements = {f"{package}.{name}" for package in _packages() for name in load_statements(package)}
    given = arguments(drawn).keys()
    assert {name.partition(" ")[0] for name in given} == statements
    assert given >= _READS_WHOLE.keys() | _LOOKS_AT.keys() | _NOT_RUN


async def test_the_tables_that_grow_are_large(connection: asyncpg.Connection, grown: Grown) -> None:
    """Else nothing here could fail."""
    _, large = await _sampled(connection, grown)
    growing = {
        "payments", "attempts", "refunds", "ledger_postings", "events", "audit_entries", "idempotency_keys",
        "webhook_deliveries", "webhook_tries", "settlement_items", "reconciliation_entries", "job_exceptions",
        "ledger_discrepancies", "api_keys", "api_key_usage", "merchants", "fee_schedules", "maintenance_journal",
    }  # fmt: skip
    small = growing - large
    # One payment in seven has a refund.
    assert small <= ({"refunds"} if _PAYMENTS < 50_000 else set())
    assert any(name.startswith("tasks_") for name in large)
    assert any(name.startswith("task_dispatches_") for name in large)


@pytest.mark.parametrize("package", _packages())
async def test_no_statement_reads_a_large_table_whole(
    package: str, connection: asyncpg.Connection, grown: Grown
) -> None:
    """Nor looks at many more rows than it returns: with the plan for its values, and with the one that a prepared
    statement ends up with."""
    drawn, large = await _sampled(connection, grown)
    given = arguments(drawn)
    if package == "actors.scheduler":
        for setting, value in PLANNER_SETTINGS.items():
            await connection.execute(f"SET {setting} = {value}")
    faults = []
    statements = load_statements(package)
    for full_name in (name for name in given if name.partition(" ")[0].rpartition(".")[0] == package):
        sql = statements[full_name.partition(" ")[0].rpartition(".")[2]]
        types = [each.name for each in (await connection.prepare(sql)).get_parameters()]
        values = filled(given[full_name], types)
        plan = await explain(connection, sql, values)
        whole = {*read_whole(plan, large), *read_whole(await explain_settled(connection, sql, values), large)}
        if bool(whole) != (full_name in _READS_WHOLE):
            faults.append(f"{full_name} reads all of {sorted(whole)}")
        if full_name in _NOT_RUN | _READS_WHOLE.keys() or writes(plan):
            continue
        rows = rows_looked_at(await explain(connection, sql, values, ", ANALYZE"), large)
        if rows > _LOOKS_AT.get(full_name, (_LOOKED_AT_MAX, ""))[0]:
            faults.append(f"{full_name} looks at {rows} rows")
    assert faults == []


async def test_a_statement_without_an_index_is_found(connection: asyncpg.Connection, grown: Grown) -> None:
    """The judge sees what it is there for."""
    drawn, large = await _sampled(connection, grown)
    sql = "SELECT * FROM payments WHERE customer = $1"
    assert read_whole(await explain(connection, sql, ["nobody"]), large) == ["payments"]
    assert read_whole(await explain_settled(connection, sql, ["no'body"]), large) == ["payments"]
    sql = "SELECT * FROM payments WHERE merchant_id = $1 AND status = 'voided' AND description IS NOT NULL"
    ran = await explain(connection, sql, [drawn.merchant], ", ANALYZE")
    assert rows_looked_at(ran, large) > _LOOKED_AT_MAX


async def test_a_write_is_told_from_a_read(connection: asyncpg.Connection, grown: Grown) -> None:  # noqa: ARG001
    """Writes are planned and never run."""
    statements = {
        "SELECT 1 FROM merchants": False,
        "SELECT 1 FROM merchants FOR UPDATE": True,
        "WITH gone AS (DELETE FROM merchants RETURNING id) SELECT * FROM gone": True,
    }
    for sql, expected in statements.items():
        assert writes(await explain(connection, sql, [])) is expected
