"""Begins the redelivery of what an endpoint has missed since a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scheduler.registry import Run
from actors.scheduler.task import Priority
from serve_app.tasks.registry import registry
from serve_app.webhooks.redelivery import RedeliveryOrder

if TYPE_CHECKING:
    from serve_app.services import Services

_TIMEOUT_S = 600.0


@registry.task("webhooks.redeliver", priority=Priority.LOW, timeout_s=_TIMEOUT_S)
async def redeliver(run: Run[Services], order: RedeliveryOrder) -> None:
    """Enqueue its deliveries page by page; safe to repeat."""
    await run.services.webhook_tasks.redelivery.run(
        order, lambda seen, queued: run.progress(seen, 0, f"{queued} of {seen} events are delivered again")
    )
