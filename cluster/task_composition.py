"""What the workers of tasks need: the services behind the functions that run as tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.runtime.tracing import Tracer
from cluster.composition import gateway_config
from cluster.process_logs import set_up_logging
from serve_app.services import Services

_TASK_WORKER_CONNECTIONS = 4
_TASK_DRAIN_S = 10.0


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
