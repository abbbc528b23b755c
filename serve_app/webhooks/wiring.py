"""Puts the parts of webhooks together for a process: what its API manages, and what its tasks carry out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actors.pool.database import Database
from actors.runtime.clock import Clock
from serve_app.caching.changes import Changes
from serve_app.webhooks.deliverer import Deliverer
from serve_app.webhooks.deliveries import DeliveryRepository
from serve_app.webhooks.feed import EventFeed
from serve_app.webhooks.guard import AddressGuard, SystemLookup
from serve_app.webhooks.redelivery import Redelivery
from serve_app.webhooks.repository import EndpointRepository
from serve_app.webhooks.secrets import SecretBox
from serve_app.webhooks.sender import WebhookSender
from serve_app.webhooks.service import WebhookService


@dataclass(frozen=True, slots=True)
class WebhookTasks:
    """What the tasks of webhooks work with."""

    deliverer: Deliverer
    redelivery: Redelivery
    sender: WebhookSender
    lookup: SystemLookup

    async def close(self) -> None:
        """Close the connections to receivers."""
        await self.sender.close()
        self.lookup.close()


def wire_webhooks(
    database: Database,
    changes: Changes,
    clock: Clock,
    *,
    key: bytes | None,
    allow_loopback: bool,
    poke: Callable[[], None],
    draw: Callable[[], float],
) -> tuple[WebhookService, WebhookTasks]:
    """Build both on what is given; nothing is connected or started yet. `draw` draws evenly from [0, 1)."""
    lookup = SystemLookup()
    guard = AddressGuard(lookup, allow_loopback=allow_loopback)
    sender = WebhookSender(guard)
    secrets = SecretBox(key) if key is not None else None
    endpoints = EndpointRepository(database, poke)
    deliveries = DeliveryRepository(database, poke)
    service = WebhookService(endpoints, deliveries, EventFeed(database), guard, secrets, changes, clock)
    deliverer = Deliverer(deliveries, endpoints, sender, secrets, clock, draw)
    return service, WebhookTasks(deliverer, Redelivery(deliveries, clock), sender, lookup)
