"""What a request intends, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from serve_app.domain.attempt import Attempt
from serve_app.domain.idempotency import Claim
from serve_app.domain.payment import Payment
from serve_app.domain.refund import Refund


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks, for the audit trail: the API key and the request."""

    key_id: UUID
    request_id: str


SYSTEM_KEY = UUID(int=0)
"""Stands for the gateway itself, which has no API key; the audit trail shows none."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose objects a request is about, in which mode, and who asks."""

    merchant_id: UUID
    livemode: bool
    requester: Requester


@dataclass(frozen=True, slots=True)
class Intent:
    """One attempt with the payment as it stands once the attempt has begun, and the refund where it makes one."""

    payment: Payment
    attempt: Attempt
    requester: Requester
    claim: Claim | None = None
    refund: Refund | None = None
