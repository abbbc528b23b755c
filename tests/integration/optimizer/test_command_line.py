"""`easypay db` on a database that is not the gateway's, with no gateway running."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest
from typer.testing import CliRunner

from cluster.cli.app import command_line
from tests.support.postgres import TestPostgres

_RUNNER = CliRunner()


@pytest.fixture(scope="module")
def url(server: TestPostgres) -> str:
    """Make a database with a workload that lacks an index."""
    asyncio.run(_prepare(server))
    return server.url(database="somebody")


async def _prepare(server: TestPostgres) -> None:
    admin = await asyncpg.connect(server.url(database="postgres"))
    await admin.execute("CREATE DATABASE somebody")
    await admin.close()
    connection = await asyncpg.connect(server.url(database="somebody"))
    await connection.execute(
        "CREATE EXTENSION pg_stat_statements; CREATE TABLE visits (id bigint PRIMARY KEY, page int NOT NULL);"
        "INSERT INTO visits SELECT n, n % 5000 FROM generate_series(1, 50000) AS n; ANALYZE;"
        "SELECT pg_stat_statements_reset()"
    )
    for page in range(20):
        await connection.fetch("SELECT * FROM visits WHERE page = $1", page)
    await connection.close()


def _run(*arguments: str) -> str:
    result = _RUNNER.invoke(command_line(), ["db", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_advice_then_application_then_undoing(url: str) -> None:
    """The first changes nothing, not even for a journal."""
    advice = json.loads(_run("advise", "--database-url", url, "--watch", "0", "--json"))
    assert [each["table"] for each in advice["proposals"]] == ["public.visits"]
    assert "CREATE INDEX CONCURRENTLY" in _run("advise", "--database-url", url, "--watch", "0")
    assert json.loads(_run("journal", "--database-url", url, "--json")) == {"data": []}
    assert [each["index"] for each in _indexes(url)] == ["visits_pkey"]

    applied = json.loads(_run("advise", "--database-url", url, "--watch", "0", "--apply", "--json"))
    created = [each for each in applied["actions"] if each["action"] == "created"]
    made = [each for each in _indexes(url) if each["made_by_optimizer"]]
    assert {each["index_name"] for each in created} >= {each["index"] for each in made}
    assert made

    _run("journal", "--database-url", url, "--undo", str(created[0]["id"]))
    assert created[0]["index_name"] not in {each["index"] for each in _indexes(url)}
    entries = json.loads(_run("journal", "--database-url", url, "--json"))["data"]
    assert entries[0]["action"] == "undone"
    again = ["db", "journal", "--database-url", url, "--undo", str(created[0]["id"])]
    assert _RUNNER.invoke(command_line(), again).exit_code == 1


def _indexes(url: str) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = json.loads(_run("indexes", "--database-url", url, "--json"))["data"]
    return [each for each in listed if each["table"] == "public.visits"]


def test_a_database_that_cannot_be_reached_ends_the_command(url: str, server: TestPostgres) -> None:
    """With a message and no traceback."""
    result = _RUNNER.invoke(command_line(), ["db", "indexes", "--database-url", url.replace(str(server.port), "1")])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
