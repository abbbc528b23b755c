"""The gateway maintains its own database by tasks; a person does by hand; operators see it on /ops/api/database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic_core import from_json
from typer.testing import CliRunner, Result

from actors.pool.faults import DRIVER_ERRORS
from actors.scheduler.registry import Run
from cluster.cli.app import command_line
from serve_app.domain.ids import new_id
from serve_app.http.operation import Call
from serve_app.http.response import Response
from serve_app.maintenance.policy import horizon_rules, maintenance_policy
from serve_app.maintenance.service import HOLDERS, STEPS
from serve_app.ops.database import DatabaseEndpoints, DatabaseState
from serve_app.services import Services
from serve_app.tasks.maintain_database import guard_horizon, maintain_database
from tests.support.gateway_services import PEPPER, gateway_services
from tests.support.postgres import APP_ROLE, TestPostgres


async def _standing(services: Services) -> dict[str, Any]:
    [operation] = DatabaseEndpoints(services.database, services.optimizer, services.maintenance).operations()
    response = await operation.endpoint(Call("GET", "/ops/api/database", {}, "req_1"))
    assert isinstance(response, Response)
    answer: dict[str, Any] = from_json(response.body)
    DatabaseState.model_validate(answer)
    maintenance: dict[str, Any] = answer["maintenance"]
    return maintenance


def _run(services: Services, told: list[tuple[int, int]]) -> Run[Services]:
    return Run(new_id(), 1, services, lambda done, of, _text: told.append((done, of)))


async def _wear_out(postgres: TestPostgres, name: str) -> None:
    connection = await asyncpg.connect(postgres.url())
    await connection.execute(f"CREATE TABLE {name} (id int PRIMARY KEY) WITH (autovacuum_enabled = off)")
    await connection.execute(f"INSERT INTO {name} SELECT generate_series(1, 20000)")
    await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.close()


async def test_the_task_does_what_operators_see_planned(maintained: TestPostgres) -> None:
    """With the owner's role, for the gateway's own may not; counted, and how far it is is told."""
    await _wear_out(maintained, "worn_out")
    told: list[tuple[int, int]] = []
    settings: dict[str, Any] = {"database_owner_url": maintained.url(), "gateway": "easypay-1f"}
    async with gateway_services(maintained.url(APP_ROLE), **settings) as services:
        planned = (await _standing(services))["planned"]
        assert {step["action"] for step in planned if step["target"] == "public.worn_out"} == {"vacuum", "analyze"}
        await maintain_database.function(_run(services, told))
        standing = await _standing(services)
        assert [step for step in standing["planned"] if step["target"] == "public.worn_out"] == []
        done = [entry for entry in standing["journal"] if entry["target"] == "public.worn_out"]
        assert {entry["outcome"] for entry in done} == {"done"}
        assert told[-1][0] == told[-1][1] == len(told)
        counts = {series.labels: count for series, count in services.tallies().items() if series.name == STEPS}
        assert counts["vacuum", "done"] >= 1
        assert "public.worn_out" in {table["name"] for table in standing["tables"]}
        assert [each["name"] for each in standing["partitions"]] == ["tasks"]


async def test_only_looking_does_nothing_but_keep_the_days(maintained: TestPostgres) -> None:
    """Nobody else makes and drops them."""
    await _wear_out(maintained, "looked_at")
    admin = await asyncpg.connect(maintained.url())
    last = await admin.fetchval("SELECT max(relname) FROM pg_class WHERE relname ~ '^tasks_[0-9]{8}$'")
    await admin.execute(f"DROP TABLE {last}")
    settings: dict[str, Any] = {"database_owner_url": maintained.url(), "maintenance_mode": "watch"}
    async with gateway_services(maintained.url(APP_ROLE), **settings) as services:
        await maintain_database.function(_run(services, []))
        await guard_horizon.function(_run(services, []))
        planned = (await _standing(services))["planned"]
    assert {step["action"] for step in planned if step["target"] == "public.looked_at"} == {"vacuum", "analyze"}
    assert await admin.fetchval("SELECT to_regclass($1)::text", last) == last
    await admin.close()


async def test_the_guard_ends_a_session_of_the_gateway(maintained: TestPostgres) -> None:
    """Of either of its roles; it is counted."""
    holder = await asyncpg.connect(maintained.url(APP_ROLE))
    await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await holder.execute("SELECT count(*) FROM payments")
    async with gateway_services(maintained.url(APP_ROLE), horizon_max_s=0.0) as services:
        await guard_horizon.function(_run(services, []))
        counted = {series.labels for series in services.tallies() if series.name == HOLDERS}
        assert counted == {("idle_in_transaction", "end_session")}
    with pytest.raises(DRIVER_ERRORS):
        await holder.fetch("SELECT 1")


def test_whose_sessions_are_ours_follows_from_the_urls() -> None:
    """A URL without a user makes nobody ours."""
    urls = ("postgresql://app%40x:secret@host/easypay", "postgresql://owner@host/easypay", "postgresql://host/easypay")
    rules = horizon_rules(600.0, urls, "easypay-1f")
    assert (rules.roles, rules.names) == (frozenset({"app@x", "owner"}), ("easypay-1f/",))
    [days] = maintenance_policy(9).partitions
    assert days.retention_days == 9


def _command(folder: Path, url: str, *options: str) -> Result:
    environment = {"DATABASE_URL": url, "API_KEY_PEPPER": PEPPER.decode()}
    return CliRunner().invoke(command_line(), ["db", "maintain", "--data-dir", str(folder), *options], env=environment)


def test_a_person_sees_and_does_it(maintained: TestPostgres, tmp_path: Path) -> None:
    """Without a gateway that runs; what was done is not done again."""
    asyncio.run(_wear_out(maintained, "by_hand"))
    dry = _command(tmp_path, maintained.url(), "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    steps = [step for step in json.loads(dry.stdout)["steps"] if step["target"] == "public.by_hand"]
    assert [step["action"] for step in steps] == ["vacuum", "analyze"]
    assert "public.by_hand" in _command(tmp_path, maintained.url(), "--dry-run").stdout
    done = _command(tmp_path, maintained.url(), "--json")
    assert done.exit_code == 0, done.output
    ended = [step for step in json.loads(done.stdout)["steps"] if step["target"] == "public.by_hand"]
    assert [(step["action"], step["error"]) for step in ended] == [("vacuum", None), ("analyze", None)]
    assert "Nothing is worth doing." in _command(tmp_path, maintained.url()).stdout
    assert "Nothing is worth doing." in _command(tmp_path, maintained.url(), "--dry-run").stdout


def test_a_database_that_is_away_is_said_so(tmp_path: Path) -> None:
    """In a line, with a status that scripts see."""
    away = _command(tmp_path, "postgresql://postgres@127.0.0.1:1/easypay")
    assert (away.exit_code, "cannot be reached" in away.stderr) == (1, True)
