"""Webhooks on the wire: what merchants send and get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from serve_app.domain.cards import contains_card_number
from serve_app.domain.events import EVERYTHING, SUBSCRIBABLE, EventType
from serve_app.payments.schemas import Description
from serve_app.webhooks.urls import URL_LENGTH_MAX
from serve_app.webhooks.verdict import DeliveryStatus, DisabledReason, FailureReason

PAGE_LIMIT_MAX = 100
OVERLAP_MAX_S = 7 * 86_400


def _no_card_number(url: str) -> str:
    if contains_card_number(url):
        raise ValueError("must not hold a card number")
    return url


def _known_events(names: list[str]) -> list[str]:
    unknown = [name for name in names if name != EVERYTHING and name not in SUBSCRIBABLE]
    if unknown:
        raise ValueError(f'must be ["*"], or of {", ".join(SUBSCRIBABLE)}')
    if EVERYTHING in names and len(names) > 1:
        raise ValueError('must be ["*"] alone, or name single types')
    return sorted(set(names))


Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=URL_LENGTH_MAX),
    AfterValidator(_no_card_number),
    Field(description="HTTPS, to a public address.", examples=["https://example.com/webhooks"]),
]
Events = Annotated[
    list[Annotated[str, StringConstraints(max_length=100)]],
    Field(min_length=1, max_length=50, description='The types of events to be told of, or ["*"].', examples=[["*"]]),
    AfterValidator(_known_events),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CreateEndpoint(_Request):
    """Where to be told, and of what."""

    url: Url
    events: Events
    description: Description | None = None


class UpdateEndpoint(_Request):
    """What to change; a member that is left out stays. An endpoint that is enabled again has not failed yet."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    enabled: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def _null_changes_nothing_but_the_description(self) -> UpdateEndpoint:
        for name in ("url", "events", "enabled"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} must not be null")
        return self


class RotateSecret(_Request):
    """How long the old secret signs beside the new one."""

    overlap_s: int = Field(default=86_400, ge=0, le=OVERLAP_MAX_S, strict=True)


class PingEndpoint(_Request):
    """Nothing: a ping says no more than that the endpoint is there."""


class RetryDelivery(_Request):
    """Nothing: the event is sent as it was."""


class Redeliver(_Request):
    """From when on; by default only what has not arrived."""

    since: AwareDatetime = Field(description="At most 30 days ago.")
    include_succeeded: bool = Field(default=False, strict=True)


class ListDeliveries(_Request):
    """Which deliveries to list."""

    limit: int = Field(default=20, ge=1, le=PAGE_LIMIT_MAX)
    starting_after: str | None = Field(default=None, description="The id of the last delivery of the page before.")
    endpoint: str | None = Field(default=None, description="Those to this endpoint.")
    event: str | None = Field(default=None, description="Those of this event.")
    status: DeliveryStatus | None = None


class ListEvents(_Request):
    """Which events to list."""

    limit: int = Field(default=20, ge=1, le=PAGE_LIMIT_MAX)
    after: str | None = Field(default=None, description="The id of the last event that you have from this feed.")
    type: EventType | None = None


class EndpointView(BaseModel):
    """Where a merchant is told."""

    id: str = Field(examples=["we_0190f3c2a4b77c1d8e2f3a4b5c6d7e8f"])
    object: Literal["webhook_endpoint"]
    livemode: bool
    url: str = Field(examples=["https://example.com/webhooks"])
    events: list[str] = Field(examples=[["*"]])
    description: str | None
    enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    previous_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime


class EndpointWithSecret(EndpointView):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="])


class EndpointPage(BaseModel):
    """Every endpoint, newest first."""

    data: list[EndpointView]
    has_more: bool


class RedeliveryView(BaseModel):
    """What is redelivered from now on: each event as soon as its turn comes."""

    object: Literal["webhook_redelivery"]
    endpoint: str
    since: datetime
    until: datetime
    include_succeeded: bool


class DeliveryView(BaseModel):
    """How far the delivery of an event to an endpoint is."""

    id: str
    object: Literal["webhook_delivery"]
    endpoint: str
    event: str
    event_type: str
    status: DeliveryStatus
    reason: FailureReason | None
    tries: int
    response_code: int | None
    error: str | None
    duration_ms: int | None
    tried_at: datetime | None
    next_try_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class RequestView(BaseModel):
    """What was sent; the body is that of the delivery, and the signature is left out."""

    method: Literal["POST"]
    url: str
    headers: dict[str, str]


class AttemptView(BaseModel):
    """One try, with the first bytes of the answer."""

    at: datetime
    request: RequestView
    response_code: int | None
    response_body: str | None
    error: str | None
    duration_ms: int
    next_try_at: datetime | None


class DeliveryDetail(DeliveryView):
    """A delivery with what is sent and its newest tries, newest first."""

    request_body: str
    attempts: list[AttemptView]


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    data: list[DeliveryView]
    has_more: bool


class EventView(BaseModel):
    """Something that happened to an object, exactly as it is delivered.

    `sequence` rises with each event of the object: drop one that is not above the last that you have of the object.
    """

    id: str
    type: EventType
    timestamp: datetime
    sequence: int
    data: dict[str, Any] = Field(description="The payment, refund or endpoint as it was then.")


class EventPage(BaseModel):
    """Events in the order of the feed, oldest first."""

    data: list[EventView]
    has_more: bool
