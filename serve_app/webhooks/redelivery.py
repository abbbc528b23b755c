"""Redelivers what an endpoint has missed since a time, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from actors.runtime.clock import Clock
from serve_app.webhooks.deliveries import DeliveryRepository

PAGE_EVENTS = 500
"""Of one statement: short enough that payments do not notice it."""


@dataclass(frozen=True, slots=True)
class RedeliveryOrder:
    """The events of a merchant with ids after one and up to another, and whether those that arrived go again too."""

    merchant_id: UUID
    livemode: bool
    endpoint_id: UUID
    after: UUID
    until: UUID
    include_succeeded: bool


class Redelivery:
    """Carries redeliveries out."""

    def __init__(self, deliveries: DeliveryRepository, clock: Clock) -> None:
        self._deliveries = deliveries
        self._clock = clock

    async def run(self, order: RedeliveryOrder, told: Callable[[int, int], None] = lambda _seen, _queued: None) -> int:
        """Begin a new round for each delivery that the order names; return how many. `told` hears how far it is.

        Safe to repeat. An endpoint that is disabled meanwhile ends it.

        Raises:
            Unavailable, Overloaded, DeadlineExceeded, OutcomeUnknown: the database is away; run it again.
        """
        after, seen, queued = order.after, 0, 0
        while True:
            page = await self._deliveries.redeliver_page(
                order.merchant_id,
                order.livemode,
                order.endpoint_id,
                after=after,
                until=order.until,
                include_succeeded=order.include_succeeded,
                limit=PAGE_EVENTS,
                at=self._clock.now(),
            )
            seen, queued = seen + page.seen, queued + page.queued
            told(seen, queued)
            if page.last is None or page.seen < PAGE_EVENTS:
                return queued
            after = page.last
