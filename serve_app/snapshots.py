"""Payments and refunds as JSON, the way merchants see them in answers, events and webhooks.

Rendered once for each change; the event keeps the text, and a repeated request is answered with it byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from serve_app.domain.ids import Prefix, public_id
from serve_app.domain.payment import Payment
from serve_app.domain.refund import Refund


def rfc3339(moment: datetime) -> str:
    """Return the moment in UTC with microseconds, such as `2026-01-31T23:59:59.000000Z`."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def payment_view(payment: Payment) -> dict[str, Any]:
    """Return the payment's members in the order of the documentation."""
    return {
        "id": public_id(Prefix.PAYMENT, payment.id),
        "object": "payment",
        "merchant": public_id(Prefix.MERCHANT, payment.merchant_id),
        "livemode": payment.livemode,
        "amount": payment.amount,
        "amount_captured": payment.amount_captured,
        "amount_refunded": payment.amount_refunded,
        "currency": payment.currency,
        "status": payment.status.value,
        "payment_method": {"token": payment.token, "brand": payment.brand, "last4": payment.last4},
        "processor": payment.processor,
        "processor_reference": payment.processor_reference,
        "decline_code": payment.decline_code,
        "description": payment.description,
        "customer": payment.customer,
        "metadata": payment.metadata,
        "version": payment.version,
        "settlement": _settlement(payment.settlement_id, payment.settled_at),
        "created_at": rfc3339(payment.created_at),
        "updated_at": rfc3339(payment.updated_at),
    }


def refund_view(refund: Refund) -> dict[str, Any]:
    """Return the refund's members in the order of the documentation."""
    return {
        "id": public_id(Prefix.REFUND, refund.id),
        "object": "refund",
        "payment": public_id(Prefix.PAYMENT, refund.payment_id),
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": refund.reason,
        "status": refund.status.value,
        "processor_reference": refund.processor_reference,
        "failure_code": refund.failure_code,
        "created_at": rfc3339(refund.created_at),
        "updated_at": rfc3339(refund.updated_at),
    }


def encode_payment(payment: Payment) -> bytes:
    """Return the payment as JSON."""
    return to_json(payment_view(payment))


def encode_refund(refund: Refund) -> bytes:
    """Return the refund as JSON."""
    return to_json(refund_view(refund))


def encode_page(items: list[bytes], more: Sequence[object]) -> bytes:
    """Return a page of objects that are JSON already as JSON; `more` is what follows it, if anything does."""
    tail = b'],"has_more":true}' if more else b'],"has_more":false}'
    return b'{"data":[' + b",".join(items) + tail


def _settlement(settlement_id: UUID | None, settled_at: datetime | None) -> dict[str, str] | None:
    if settlement_id is None or settled_at is None:
        return None
    return {"id": public_id(Prefix.SETTLEMENT, settlement_id), "settled_at": rfc3339(settled_at)}
