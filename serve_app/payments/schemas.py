"""Payments on the wire: what merchants send and get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from serve_app.domain.cards import contains_card_number
from serve_app.domain.money import AMOUNT_MINOR_MAX, EXPONENTS
from serve_app.domain.payment import PaymentStatus

METADATA_KEYS_MAX = 50
PAGE_LIMIT_MAX = 100


def _no_card_number(text: str) -> str:
    if contains_card_number(text):
        raise ValueError("must not hold a card number: send a token as payment_method")
    return text


def _known_currency(code: str) -> str:
    if code not in EXPONENTS:
        raise ValueError("must be the code of a currency of ISO 4217 in capitals, such as USD")
    return code


def _few_keys(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > METADATA_KEYS_MAX:
        raise ValueError(f"must have at most {METADATA_KEYS_MAX} keys")
    # In one order, so that the order in a request does not make it another request.
    return dict(sorted(metadata.items())) if len(metadata) > 1 else metadata


Amount = Annotated[int, Field(strict=True, gt=0, le=AMOUNT_MINOR_MAX, description="In minor units of the currency.")]
# PostgreSQL's text cannot hold a NUL.
_NO_NUL = r"^[^\x00]*$"
Description = Annotated[
    str, StringConstraints(min_length=1, max_length=500, pattern=_NO_NUL), AfterValidator(_no_card_number)
]
Customer = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=_NO_NUL), AfterValidator(_no_card_number)
]
Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=_NO_NUL), AfterValidator(_no_card_number)
]
_MetadataKey = Annotated[
    str, StringConstraints(min_length=1, max_length=40, pattern=_NO_NUL), AfterValidator(_no_card_number)
]
_MetadataValue = Annotated[str, StringConstraints(max_length=500, pattern=_NO_NUL), AfterValidator(_no_card_number)]
Metadata = Annotated[dict[_MetadataKey, _MetadataValue], AfterValidator(_few_keys)]
Currency = Annotated[str, AfterValidator(_known_currency), Field(examples=["USD"])]
Token = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]*$"),
    AfterValidator(_no_card_number),
    Field(description="The token of a card. No card number is ever taken.", examples=["tok_visa"]),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CreatePayment(_Request):
    """A payment to take."""

    amount: Amount
    currency: Currency
    payment_method: Token
    capture: bool = Field(default=True, strict=True, description="Take the money at once, or only hold it.")
    description: Description | None = None
    customer: Customer | None = None
    metadata: Metadata = Field(default_factory=dict)


class UpdatePayment(_Request):
    """What can be changed at any time; a member that is left out stays, metadata that is given replaces all of it."""

    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)


class CapturePayment(_Request):
    """How much to take; without an amount all of it. The rest is released."""

    amount: Amount | None = None


class VoidPayment(_Request):
    """Nothing: a void releases everything."""


class ListPayments(_Request):
    """Which payments to list."""

    limit: int = Field(default=20, ge=1, le=PAGE_LIMIT_MAX)
    starting_after: str | None = Field(default=None, description="The id of the last payment of the page before.")
    status: PaymentStatus | None = None
    created_gte: AwareDatetime | None = None
    created_lt: AwareDatetime | None = None

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.created_gte and self.created_lt and self.created_gte >= self.created_lt:
            raise ValueError("created_gte must be before created_lt")
        return self


class PaymentMethod(BaseModel):
    """The card that a token stands for."""

    token: str
    brand: str
    last4: str


class Settlement(BaseModel):
    """When a payment was paid out."""

    id: str
    settled_at: datetime


class PaymentView(BaseModel):
    """A payment."""

    id: str = Field(examples=["pay_0190f3c2a4b77c1d8e2f3a4b5c6d7e8f"])
    object: Literal["payment"]
    merchant: str
    livemode: bool
    amount: int
    amount_captured: int
    amount_refunded: int
    currency: str
    status: PaymentStatus
    payment_method: PaymentMethod
    processor: str
    processor_reference: str | None
    decline_code: str | None
    description: str | None
    customer: str | None
    metadata: dict[str, str]
    version: int
    settlement: Settlement | None
    created_at: datetime
    updated_at: datetime


class PaymentPage(BaseModel):
    """Payments, newest first."""

    data: list[PaymentView]
    has_more: bool


class TimelineItem(BaseModel):
    """One thing that happened to a payment; `data` depends on the kind."""

    at: datetime
    kind: Literal["attempt_started", "attempt_finished", "posting", "event", "delivery", "delivery_try"]
    data: dict[str, object]


class Timeline(BaseModel):
    """All that happened to a payment, in order."""

    data: list[TimelineItem]
    has_more: bool
