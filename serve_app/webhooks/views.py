"""Endpoints and deliveries as merchants see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from serve_app.domain.ids import Prefix, public_id
from serve_app.snapshots import rfc3339
from serve_app.webhooks.message import Event
from serve_app.webhooks.rows import Delivery, Endpoint, Try
from serve_app.webhooks.verdict import DisabledReason


def endpoint_view(endpoint: Endpoint) -> dict[str, Any]:
    """Return the endpoint's members, without its secret."""
    return {
        "id": public_id(Prefix.WEBHOOK_ENDPOINT, endpoint.id),
        "object": "webhook_endpoint",
        "livemode": endpoint.livemode,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": _moment(endpoint.failing_since),
        "previous_secret_until": _moment(endpoint.previous_secret_until),
        "created_at": rfc3339(endpoint.created_at),
        "updated_at": rfc3339(endpoint.updated_at),
    }


def encode_endpoint(endpoint: Endpoint, *, disabled: DisabledReason | None = None, at: datetime | None = None) -> bytes:
    """Return the endpoint as JSON, as it is or as it is once it is disabled."""
    if disabled is not None and at is not None:
        endpoint = replace(endpoint, enabled=False, disabled_reason=disabled, updated_at=at)
    return to_json(endpoint_view(endpoint))


def delivery_view(delivery: Delivery) -> dict[str, Any]:
    """Return the delivery's members, with the result of its last try."""
    return {
        "id": public_id(Prefix.WEBHOOK_DELIVERY, delivery.id),
        "object": "webhook_delivery",
        "endpoint": public_id(Prefix.WEBHOOK_ENDPOINT, delivery.endpoint_id),
        "event": public_id(Prefix.EVENT, delivery.event_id),
        "event_type": delivery.event_type,
        "status": delivery.status,
        "reason": delivery.reason,
        "tries": delivery.tries,
        "response_code": delivery.response_code,
        "error": delivery.error,
        "duration_ms": delivery.duration_ms,
        "tried_at": _moment(delivery.tried_at),
        "next_try_at": _moment(delivery.next_try_at),
        "created_at": rfc3339(delivery.created_at),
        "finished_at": _moment(delivery.finished_at),
    }


def delivery_detail(delivery: Delivery, event: Event, tries: Sequence[Try]) -> dict[str, Any]:
    """Return the delivery with what is sent and every try, newest first."""
    return {
        **delivery_view(delivery),
        "request_body": event.encode(),
        "attempts": [_try_view(event, each) for each in tries],
    }


def _try_view(event: Event, tried: Try) -> dict[str, Any]:
    headers = {"webhook-id": event.public_id, "webhook-timestamp": str(int(tried.started_at.timestamp()))}
    return {
        "at": rfc3339(tried.started_at),
        "request": {"method": "POST", "url": tried.url, "headers": headers},
        "response_code": tried.response_code,
        "response_body": tried.response_body,
        "error": tried.error,
        "duration_ms": tried.duration_ms,
        "next_try_at": _moment(tried.next_try_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
