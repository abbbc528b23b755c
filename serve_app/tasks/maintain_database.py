"""Looks after the database.

As tasks of the scheduler, not as an actor: what is durable, runs once at a time wherever a worker lives, is bounded in
time, counted and shown to operators is there already. What it needs beyond that, the turn, the server keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from actors.scheduler.registry import Run
from actors.scheduler.task import Priority
from serve_app.tasks.registry import registry

if TYPE_CHECKING:
    from serve_app.services import Services

_logger = structlog.get_logger(__name__)

_TIMEOUT_S = 4 * 3600.0
"""A step has three hours, and no other begins later than ten minutes after the start."""


@registry.task("maintain_database", cron="* * * * *", priority=Priority.LOW, timeout_s=_TIMEOUT_S, concurrency_max=1)
async def maintain_database(run: Run[Services]) -> None:
    """Do what is worth doing. Safe to repeat: it follows from the statistics of the moment."""
    done = await run.services.maintenance.run(lambda count, of: run.progress(count, of, "steps"))
    for failed in (each for each in done or () if each.error is not None):
        _logger.warning(
            "maintenance could not be done",
            action=failed.step.action.value,
            target=failed.step.target,
            why=failed.error,
        )


@registry.task("guard_horizon", every_s=30.0, priority=Priority.LOW, timeout_s=60.0, concurrency_max=1)
async def guard_horizon(run: Run[Services]) -> None:
    """End sessions of ours that keep dead rows for too long. Safe to repeat."""
    await run.services.maintenance.guard()
