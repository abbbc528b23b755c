"""Forgets idempotency keys whose answer is old enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scheduler.registry import Run
from actors.scheduler.task import Priority
from serve_app.retention.keys import LISTED_MAX, LISTS_MAX
from serve_app.tasks.registry import registry

if TYPE_CHECKING:
    from serve_app.services import Services


@registry.task("clean_up_keys", cron="*/2 * * * *", priority=Priority.LOW, timeout_s=600.0, concurrency_max=1)
async def clean_up_keys(run: Run[Services]) -> None:
    """Delete them, batch by batch. Safe to repeat."""
    await run.services.key_retention.run(lambda deleted: run.progress(deleted, LISTED_MAX * LISTS_MAX, "keys"))
