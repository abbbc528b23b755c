"""What the scheduler of tasks needs: which functions run as tasks, and the database; not what these work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.scheduler.registry import Registry
from actors.scheduler.store import PLANNER_SETTINGS, STATEMENT_TIMEOUT_S
from cluster.composition import ACTOR_NAMESPACE, database_url, watched
from cluster.process_logs import set_up_logging
from cluster.process_reports import report_process
from serve_app.tasks.registry import registry

if TYPE_CHECKING:
    from serve_app.services import Services

_SCHEDULER_CONNECTIONS = 2


def task_registry() -> Registry[Services]:
    """Return the functions that run as tasks."""
    return registry


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
