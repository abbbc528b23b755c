"""Webhooks as they are stored, and the rows of the set-based statements in the order of their SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from serve_app.webhooks.message import Event
from serve_app.webhooks.verdict import DeliveryStatus, DisabledReason, FailureReason


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a merchant wants to be told. Its secret is not part of it."""

    merchant_id: UUID
    id: UUID
    livemode: bool
    url: str
    events: Sequence[str]
    description: str | None
    enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far the delivery of one event to one endpoint is; what its last try gave, where there was one."""

    merchant_id: UUID
    id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    status: DeliveryStatus
    reason: FailureReason | None
    tries: int
    next_try_at: datetime | None
    response_code: int | None
    error: str | None
    duration_ms: int | None
    tried_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a delivery, with the first bytes of the answer."""

    id: UUID
    url: str
    response_code: int | None
    response_body: str | None
    error: str | None
    duration_ms: int
    started_at: datetime
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint as a delivery needs it; its secrets are sealed."""

    enabled: bool
    url: str
    secret: bytes
    previous_secret: bytes | None
    previous_secret_until: datetime | None
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery with all that a try needs; without a target its endpoint was deleted."""

    endpoint_id: UUID
    livemode: bool
    status: DeliveryStatus
    round: int
    tries: int
    next_try_at: datetime | None
    event: Event
    target: Target | None


class DeliveryKey(NamedTuple):
    """A delivery of a merchant."""

    merchant_id: UUID
    delivery_id: UUID


class TryRow(NamedTuple):
    """A try with what it makes of its delivery; `tries` counts it."""

    merchant_id: UUID
    delivery_id: UUID
    endpoint_id: UUID
    round: int
    tries: int
    try_id: UUID
    url: str
    response_code: int | None
    response_body: str | None
    error: str | None
    duration_ms: int
    started_at: datetime
    status: str
    reason: str | None
    next_try_at: datetime | None
    finished_at: datetime | None
