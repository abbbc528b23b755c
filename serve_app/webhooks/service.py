"""What merchants do with webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import TypeAdapter

from actors.runtime.clock import Clock
from serve_app.attempts.intent import Owner
from serve_app.caching.changes import Changes
from serve_app.domain.errors import EndpointDisabled, NotFound, TooManyEndpoints, WebhooksNotConfigured
from serve_app.domain.ids import Prefix, first_id_at, new_id, public_id
from serve_app.webhooks.deliveries import DeliveryPageRequest, DeliveryRepository
from serve_app.webhooks.feed import EventFeed
from serve_app.webhooks.guard import AddressGuard
from serve_app.webhooks.message import Event
from serve_app.webhooks.redelivery import RedeliveryOrder
from serve_app.webhooks.repository import ENDPOINTS_MAX, EndpointChange, EndpointRepository
from serve_app.webhooks.rows import Delivery, DeliveryKey, Endpoint, Try
from serve_app.webhooks.secrets import SecretBox, new_secret
from serve_app.webhooks.views import encode_endpoint

_ORDER: TypeAdapter[RedeliveryOrder] = TypeAdapter(RedeliveryOrder)


class WebhookService:
    """Manages endpoints, and reads and repeats deliveries.

    Each raises NotFound where the merchant has no such object in its mode.
    """

    def __init__(
        self,
        endpoints: EndpointRepository,
        deliveries: DeliveryRepository,
        feed: EventFeed,
        guard: AddressGuard,
        secrets: SecretBox | None,
        changes: Changes,
        clock: Clock,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._feed = feed
        self._guard = guard
        self._secrets = secrets
        self._changes = changes
        self._clock = clock

    async def create(
        self, owner: Owner, url: str, events: Sequence[str], description: str | None
    ) -> tuple[Endpoint, str]:
        """Register an endpoint and return it with its secret, which cannot be read again.

        Raises:
            UrlRefused: webhooks may not go there.
            TooManyEndpoints: one has to be deleted first.
            WebhooksNotConfigured: the gateway has no key to keep secrets with.
        """
        box = self._box()
        await self._guard.check(url)
        now, secret = self._clock.now(), new_secret()
        endpoint = Endpoint(
            merchant_id=owner.merchant_id,
            id=new_id(),
            livemode=owner.livemode,
            url=url,
            events=events,
            description=description,
            enabled=True,
            disabled_reason=None,
            failing_since=None,
            previous_secret_until=None,
            version=1,
            created_at=now,
            updated_at=now,
        )
        async with self._changes.of_lists(owner.merchant_id, owner.livemode):
            if not await self._endpoints.create(owner, endpoint, box.seal(owner.merchant_id, endpoint.id, secret)):
                raise TooManyEndpoints(ENDPOINTS_MAX)
        return endpoint, secret

    async def get(self, owner: Owner, endpoint_id: UUID) -> Endpoint:
        """Return an endpoint."""
        return _found(await self._endpoints.find(owner.merchant_id, owner.livemode, endpoint_id), endpoint_id)

    async def all(self, owner: Owner) -> list[Endpoint]:
        """Return every endpoint, newest first."""
        return await self._endpoints.all(owner.merchant_id, owner.livemode)

    async def change(self, owner: Owner, endpoint_id: UUID, change: EndpointChange) -> Endpoint:
        """Change an endpoint; safe to repeat.

        Raises:
            UrlRefused: webhooks may not go there.
        """
        if change.url is not None:
            await self._guard.check(change.url)
        async with self._changes.of_lists(owner.merchant_id, owner.livemode):
            changed = await self._endpoints.change(owner, endpoint_id, change, self._clock.now())
        return _found(changed, endpoint_id)

    async def delete(self, owner: Owner, endpoint_id: UUID) -> None:
        """Delete an endpoint. What has not been delivered to it is not delivered any more."""
        async with self._changes.of_lists(owner.merchant_id, owner.livemode):
            deleted = await self._endpoints.delete(owner, endpoint_id, self._clock.now())
        if not deleted:
            raise _no_endpoint(endpoint_id)

    async def rotate_secret(self, owner: Owner, endpoint_id: UUID, overlap_s: int) -> tuple[Endpoint, str]:
        """Give an endpoint a new secret; the old one signs beside it for `overlap_s`.

        Raises:
            WebhooksNotConfigured: the gateway has no key to keep secrets with.
        """
        now, secret = self._clock.now(), new_secret()
        sealed = self._box().seal(owner.merchant_id, endpoint_id, secret)
        async with self._changes.of_lists(owner.merchant_id, owner.livemode):
            until = now + timedelta(seconds=overlap_s)
            rotated = await self._endpoints.rotate(owner, endpoint_id, sealed, until, now)
        return _found(rotated, endpoint_id), secret

    async def ping(self, owner: Owner, endpoint_id: UUID) -> Delivery:
        """Send the endpoint an event that says no more than that it is there; return its delivery.

        Raises:
            EndpointDisabled: it is not sent anything.
        """
        endpoint = await self.get(owner, endpoint_id)
        async with self._changes.of_lists(owner.merchant_id, owner.livemode):
            data = encode_endpoint(endpoint).decode()
            delivery = await self._deliveries.ping(owner, endpoint_id, data, self._clock.now())
        if delivery is None:
            raise EndpointDisabled(public_id(Prefix.WEBHOOK_ENDPOINT, endpoint_id))
        return delivery

    async def redeliver(self, owner: Owner, endpoint_id: UUID, since: datetime, *, include_succeeded: bool) -> datetime:
        """Have the endpoint's events since a time delivered, and return up to when: those that it has not got, or all.

        Raises:
            EndpointDisabled: it is not there, or not sent anything.
        """
        now = self._clock.now()
        order = RedeliveryOrder(
            merchant_id=owner.merchant_id,
            livemode=owner.livemode,
            endpoint_id=endpoint_id,
            after=UUID(int=first_id_at(since).int - 1),
            until=first_id_at(now + timedelta(milliseconds=1)),
            include_succeeded=include_succeeded,
        )
        async with self._changes.of_lists(owner.merchant_id, owner.livemode):
            arguments = _ORDER.dump_json(order).decode()
            ordered = await self._endpoints.order_redelivery(owner, endpoint_id, arguments, now)
        if not ordered:
            raise EndpointDisabled(public_id(Prefix.WEBHOOK_ENDPOINT, endpoint_id))
        return now

    async def deliveries(self, owner: Owner, request: DeliveryPageRequest) -> list[Delivery]:
        """Return up to `limit` deliveries, newest first."""
        return await self._deliveries.page(owner.merchant_id, owner.livemode, request)

    async def delivery(self, owner: Owner, delivery_id: UUID) -> tuple[Delivery, Event, list[Try]]:
        """Return a delivery with its event and its tries, newest first."""
        found = await self._deliveries.find(owner.merchant_id, owner.livemode, delivery_id)
        if found is None:
            raise _no_delivery(delivery_id)
        return *found, await self._deliveries.tries(DeliveryKey(owner.merchant_id, delivery_id))

    async def retry(self, owner: Owner, delivery_id: UUID) -> Delivery:
        """Have an event delivered again, from the start of the schedule and whether it had arrived or not.

        Raises:
            EndpointDisabled: its endpoint is not sent anything.
        """
        found = await self._deliveries.find(owner.merchant_id, owner.livemode, delivery_id)
        if found is None:
            raise _no_delivery(delivery_id)
        async with self._changes.of_lists(owner.merchant_id, owner.livemode):
            delivery = await self._deliveries.retry(owner, delivery_id, self._clock.now())
        if delivery is None:
            raise EndpointDisabled(public_id(Prefix.WEBHOOK_ENDPOINT, found[0].endpoint_id))
        return delivery

    async def events(self, owner: Owner, *, after: UUID | None, type: str | None, limit: int) -> list[Event]:
        """Return up to `limit` events in the feed's order, from the first or after one."""
        page = await self._feed.page(owner.merchant_id, owner.livemode, after=after, type=type, limit=limit)
        if page is None:
            assert after is not None
            raise NotFound("event", public_id(Prefix.EVENT, after))
        return page

    async def event(self, owner: Owner, event_id: UUID) -> Event:
        """Return an event."""
        event = await self._feed.find(owner.merchant_id, owner.livemode, event_id)
        if event is None:
            raise NotFound("event", public_id(Prefix.EVENT, event_id))
        return event

    def _box(self) -> SecretBox:
        if self._secrets is None:
            raise WebhooksNotConfigured
        return self._secrets


def _found(endpoint: Endpoint | None, endpoint_id: UUID) -> Endpoint:
    if endpoint is None:
        raise _no_endpoint(endpoint_id)
    return endpoint


def _no_endpoint(endpoint_id: UUID) -> NotFound:
    return NotFound("webhook endpoint", public_id(Prefix.WEBHOOK_ENDPOINT, endpoint_id))


def _no_delivery(delivery_id: UUID) -> NotFound:
    return NotFound("webhook delivery", public_id(Prefix.WEBHOOK_DELIVERY, delivery_id))
