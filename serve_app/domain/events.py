"""What merchants are told has happened."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """The kind of an event: the object's kind and what became of it."""

    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_CAPTURED = "payment.captured"
    PAYMENT_DECLINED = "payment.declined"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_VOIDED = "payment.voided"
    PAYMENT_PARTIALLY_REFUNDED = "payment.partially_refunded"
    PAYMENT_REFUNDED = "payment.refunded"
    PAYMENT_CAPTURE_FAILED = "payment.capture_failed"
    PAYMENT_VOID_FAILED = "payment.void_failed"
    PAYMENT_REFUND_FAILED = "payment.refund_failed"
    PAYMENT_UPDATED = "payment.updated"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    WEBHOOK_ENDPOINT_PING = "webhook_endpoint.ping"
    """Goes to the endpoint that it was sent to, whatever that asks for, and to no other."""


SUBSCRIBABLE = tuple(sorted(set(EventType) - {EventType.WEBHOOK_ENDPOINT_PING}))
"""What an endpoint may ask for."""
EVERYTHING = "*"
"""Asks for all of it, and for what is added later."""
