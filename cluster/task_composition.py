"""What the scheduler of tasks and its workers need: the functions that run as tasks, and the services behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.runtime.tracing import Tracer
from actors.scheduler.registry import Registry
from actors.scheduler.store import PLANNER_SETTINGS, STATEMENT_TIMEOUT_S
from cluster.composition import ACTOR_NAMESPACE, database_url, gateway_config, watched
from cluster.process_logs import set_up_logging
from cluster.process_reports import report_process
from serve_app.services import Services
from serve_app.tasks.registry import registry

_TASK_WORKER_CONNECTIONS = 4
_SCHEDULER_CONNECTIONS = 2
_TASK_DRAIN_S = 10.0


def task_registry() -> Registry[Services]:
    """Return the functions that run as tasks."""
    return registry


@asynccontextmanager
async def task_services() -> AsyncIterator[Services]:
    """Open what tasks work with."""
    set_up_logging()
    services = await Services.open(gateway_config(), name="task-worker", connections=_TASK_WORKER_CONNECTIONS)
    try:
        yield services
        await services.drain(_TASK_DRAIN_S)
    finally:
        await services.close()


def task_tracer(services: Services) -> Tracer | None:
    """Return what makes spans of tasks, None where nothing is exported."""
    return services.tracing.tracer if services.tracing is not None else None


async def open_task_database() -> Database:
    """Open the database as the task scheduler uses it."""
    set_up_logging()
    report_process("task-scheduler")
    database = await Database.open(
        database_url(),
        name="task-scheduler",
        manager=PoolManagerClient(ACTOR_NAMESPACE),
        want=_SCHEDULER_CONNECTIONS,
        command_timeout_s=STATEMENT_TIMEOUT_S,
        settings=PLANNER_SETTINGS,
    )
    return watched(database)
