"""Delivers an event to an endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from actors.scheduler.registry import Run
from actors.scheduler.retry import Retry, RetryPolicy
from serve_app.tasks.registry import registry
from serve_app.webhooks.rows import DeliveryKey

if TYPE_CHECKING:
    from serve_app.services import Services

# The schedule of tries is the slice's own, and says when each is. This is for what keeps the task itself from its
# work, such as a database that is away; it must never end before the schedule does.
_RETRY = RetryPolicy(attempts_max=200, first_s=1.0, max_s=300.0)
_TIMEOUT_S = 45.0
"""A try and its records take less, each within its own bound."""
_LANE_WIDTH = 8
"""Deliveries to one endpoint at once: what is slow holds up so many, and nobody else's."""


@dataclass(frozen=True, slots=True)
class DeliverArguments:
    """Which delivery, and of which round: the task of an earlier one has nothing to do any more."""

    merchant_id: UUID
    delivery_id: UUID
    round: int


@registry.task("webhooks.deliver", retry=_RETRY, timeout_s=_TIMEOUT_S, lane_width=_LANE_WIDTH)
async def deliver(run: Run[Services], arguments: DeliverArguments) -> None:
    """Try it once; the event may arrive twice, under one id."""
    key = DeliveryKey(arguments.merchant_id, arguments.delivery_id)
    again = await run.services.webhook_tasks.deliverer.deliver(key, arguments.round)
    if again is not None:
        raise Retry(again.reason, again.after_s)
