"""Tasks for tests under a real Ray, and the actors that run them. Ray's workers import them from here."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from actors.pool.database import Database
from actors.runtime.spec import ActorSpec
from actors.scheduler.actor import TaskSchedulerActor
from actors.scheduler.client import SCHEDULER_NAME
from actors.scheduler.definition import Kind
from actors.scheduler.registry import Registry, Run
from actors.scheduler.retry import RetryPolicy
from actors.scheduler.store import PLANNER_SETTINGS, STATEMENT_TIMEOUT_S
from actors.scheduler.worker_actor import TaskWorkerActor, worker_names
from serve_app.domain.ids import new_id
from tests.bench.tasks.marks import mark

URL_VARIABLE = "EASYPAY_TEST_TASKS_URL"
ROOMS = {Kind.IO: 256, Kind.CPU: 4}
registry: Registry[asyncpg.Pool] = Registry()

RUNS = """
CREATE TABLE IF NOT EXISTS task_runs (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, task_id uuid NOT NULL, lane text, worker int NOT NULL,
    began timestamptz NOT NULL DEFAULT clock_timestamp(), ended timestamptz
)
"""


@dataclass(frozen=True, slots=True)
class Work:
    """How long to take, and in which lane it is."""

    seconds: float
    lane: str | None = None


async def _noted(run: Run[asyncpg.Pool], work: Work) -> None:
    began = "INSERT INTO task_runs (task_id, lane, worker) VALUES ($1, $2, $3) RETURNING id"
    row = await run.services.fetchval(began, run.task_id, work.lane, os.getpid())
    await asyncio.sleep(work.seconds)
    await run.services.execute("UPDATE task_runs SET ended = clock_timestamp() WHERE id = $1", row)


@registry.task("noop")
async def noop(run: Run[asyncpg.Pool], number: int) -> None:
    """Do nothing."""


@registry.task("marked")
async def marked(_run: Run[asyncpg.Pool], enqueued_at: float) -> None:
    """Do nothing but be counted."""
    mark(enqueued_at)


@registry.task("noted", retry=RetryPolicy(attempts_max=50, first_s=0.05, max_s=1.0))
async def noted(run: Run[asyncpg.Pool], work: Work) -> None:
    """Note when it began and ended, and where."""
    await _noted(run, work)


@registry.task("killing")
async def killing(run: Run[asyncpg.Pool]) -> None:
    """Kill the process that it runs in."""
    await run.services.execute("INSERT INTO task_runs (task_id, worker) VALUES ($1, $2)", run.task_id, os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


@registry.cpu_task("reckon")
def reckon(work: Work) -> None:
    """Keep a CPU busy."""
    ends = time.monotonic() + work.seconds
    while time.monotonic() < ends:
        pass


@registry.cpu_task("killing_reckoner")
def killing_reckoner() -> None:
    """Kill the process that it runs in."""
    os.kill(os.getpid(), signal.SIGKILL)


def task_registry() -> Registry[asyncpg.Pool]:
    """Return these."""
    return registry


@asynccontextmanager
async def task_services() -> AsyncIterator[asyncpg.Pool]:
    """Open what these tasks work with: connections of their own."""
    async with asyncpg.create_pool(os.environ[URL_VARIABLE], min_size=1, max_size=8) as pool:
        yield pool


async def open_database() -> Database:
    """Open the database as the scheduler uses it."""
    return await Database.open(
        os.environ[URL_VARIABLE],
        name="task-scheduler",
        manager=None,
        want=2,
        command_timeout_s=STATEMENT_TIMEOUT_S,
        settings=PLANNER_SETTINGS,
    )


def host() -> str:
    """Return the address of this machine."""
    return "127.0.0.1"


def task_actors(namespace: str, workers: int) -> tuple[ActorSpec, ...]:
    """Return the actors of a gateway that run tasks."""
    names = worker_names(workers)
    worker = (task_registry, task_services, ROOMS, host)
    scheduler = (task_registry, open_database, names, namespace, new_id, host)
    return (
        *(ActorSpec(name, TaskWorkerActor, worker, spread=True) for name in names),
        ActorSpec(SCHEDULER_NAME, TaskSchedulerActor, scheduler),
    )
