"""Voids authorizations that nobody captured in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from actors.scheduler.registry import Run
from actors.scheduler.task import Priority
from serve_app.expiry.authorizations import PAGE_MAX, PAGES_MAX
from serve_app.tasks.registry import registry

if TYPE_CHECKING:
    from serve_app.services import Services

_logger = structlog.get_logger(__name__)


@registry.task("expire_authorizations", cron="*/5 * * * *", priority=Priority.LOW, timeout_s=1800.0, concurrency_max=1)
async def expire_authorizations(run: Run[Services]) -> None:
    """Void those that have expired. Safe to repeat: what is voided is not found again."""
    total = await run.services.authorization_expiry.run(
        lambda seen: run.progress(seen, PAGE_MAX * PAGES_MAX, "authorizations")
    )
    if total.left:
        _logger.warning("expired authorizations are left to the next run", count=total.left)
