"""Compares payments that changed with the sums of their postings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from actors.scheduler.registry import Run
from actors.scheduler.task import Priority
from serve_app.tasks.registry import registry

if TYPE_CHECKING:
    from serve_app.services import Services

_logger = structlog.get_logger(__name__)


@registry.task("check_ledger", cron="7 * * * *", priority=Priority.LOW, timeout_s=1800.0, concurrency_max=1)
async def check_ledger(run: Run[Services]) -> None:
    """Check what changed since the last time. Safe to repeat: it goes on where the last one came to."""
    total = await run.services.ledger_check.run(lambda done, of: run.progress(done, of, "transactions"))
    if not total.is_complete:
        _logger.warning("the check of the ledger goes on with its next run", payments=total.payments)
