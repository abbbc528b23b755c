"""Keeps the resolver sweeping."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from actors.runtime.errors import ActorError
from actors.scheduler.registry import Run
from actors.scheduler.retry import RetryPolicy
from actors.scheduler.task import Priority
from serve_app.tasks.registry import registry

if TYPE_CHECKING:
    from serve_app.services import Services

_logger = structlog.get_logger(__name__)

_RUN_S = 30.0
"""How long one run sweeps. A run for each sweep would be two rows a second."""
_PAUSE_S = 0.5
"""Between two sweeps that found little: with the processor's own time, well under the ten seconds promised."""
_TIMEOUT_S = 120.0
"""A sweep asks about many attempts at once, each within its own bound."""


@registry.task(
    "resolve_attempts",
    every_s=1.0,
    priority=Priority.CRITICAL,
    timeout_s=_TIMEOUT_S,
    concurrency_max=1,
    # It must never rest for long, whatever it met.
    retry=RetryPolicy(attempts_max=1000, first_s=0.5, max_s=2.0),
)
async def resolve_attempts(run: Run[Services]) -> None:
    """Sweep for half a minute; the next run follows at once. Two at once would do no harm."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + _RUN_S
    while loop.time() < ends_at:
        full = False
        try:
            full = (await run.services.resolver.sweep()).is_full
        except ActorError as away:
            _logger.info("open attempts cannot be looked for", reason=str(away))
        if not full:
            await asyncio.sleep(_PAUSE_S)
