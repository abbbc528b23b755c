"""Compares what is stored of a payment with what its attempts make of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from serve_app.batch.runs import Finding
from serve_app.domain.events import EventType
from serve_app.domain.ids import Prefix, public_id
from serve_app.domain.ledger import Account
from serve_app.domain.payment import Payment
from serve_app.verification.records import Dossier, StoredAttempt, StoredPosting
from serve_app.verification.replay import Impossible, Replayed, replay

_UPDATED = EventType.PAYMENT_UPDATED.value
_COMPARED = (
    "amount",
    "amount_captured",
    "amount_refunded",
    "amount_refund_pending",
    "status",
    "processor_reference",
    "decline_code",
    "pending_attempt",
)
_TOLD = ("amount", "amount_captured", "amount_refunded", "currency", "status")


def check(dossier: Dossier, settled_until: datetime | None) -> list[Finding]:
    """Return what is wrong about a payment, nothing where all agrees.

    `settled_until`: every posting before that moment has to be in a settlement; None: nothing was settled yet.
    """
    subject = public_id(Prefix.PAYMENT, dossier.payment.id)
    try:
        replayed = replay(dossier.payment, dossier.attempts)
    except Impossible as impossible:
        return [Finding("attempts_impossible", subject, {"reason": str(impossible)})]
    return [
        *_check_payment(dossier, replayed, subject),
        *_check_postings(dossier, replayed),
        *_check_events(dossier, replayed, subject),
        *_check_refunds(dossier),
        *_check_settlement(dossier, settled_until, subject),
    ]


def _check_payment(dossier: Dossier, replayed: Replayed, subject: str) -> Iterator[Finding]:
    stored, expected = dossier.payment, replayed.payment
    updates = sum(event.type == _UPDATED for event in _own_events(dossier))
    differences = {
        name: {"stored": getattr(stored, name), "replayed": getattr(expected, name)}
        for name in _COMPARED
        if getattr(stored, name) != getattr(expected, name)
    }
    sequence = expected.sequence + updates
    # A merchant's update and a settlement change it beside the attempts.
    version = expected.version + updates + (stored.settlement_id is not None)
    if stored.sequence != sequence:
        differences["sequence"] = {"stored": stored.sequence, "replayed": sequence}
    if stored.version != version:
        differences["version"] = {"stored": stored.version, "replayed": version}
    if differences:
        yield Finding("payment_differs", subject, differences)


def _check_postings(dossier: Dossier, replayed: Replayed) -> Iterator[Finding]:
    expected = dict(replayed.postings)
    for stored in dossier.postings:
        subject = public_id(Prefix.ATTEMPT, stored.attempt_id)
        posting = expected.pop(stored.attempt_id, None) if stored.leg == 0 else None
        if posting is None:
            yield Finding("posting_unexpected", f"{subject}.{stored.leg}", _posting(stored))
        elif (posting.debit, posting.credit, posting.amount, posting.currency) != stored[2:6]:
            replayed_as = {"debit": posting.debit, "credit": posting.credit, "amount": posting.amount}
            yield Finding("posting_differs", subject, {"stored": _posting(stored), "replayed": replayed_as})
    for attempt_id, posting in expected.items():
        detail = {"debit": posting.debit, "credit": posting.credit, "amount": posting.amount}
        yield Finding("posting_missing", public_id(Prefix.ATTEMPT, attempt_id), detail)


def _check_events(dossier: Dossier, replayed: Replayed, subject: str) -> Iterator[Finding]:
    own = sorted(_own_events(dossier), key=lambda event: event.sequence)
    found = Counter(event.type for event in own if event.type != _UPDATED)
    expected = Counter(replayed.events)
    if found != expected:
        detail = {"missing": dict(expected - found), "unexpected": dict(found - expected)}
        yield Finding("events_differ", subject, detail)
    if [event.sequence for event in own] != list(range(1, len(own) + 1)):
        yield Finding("events_not_in_sequence", subject, {"sequences": [event.sequence for event in own]})
    newest = own[-1] if own else None
    if newest is not None and newest.data is not None:
        yield from _check_newest(dossier.payment, from_json(newest.data), subject)


def _check_newest(payment: Payment, told: dict[str, Any], subject: str) -> Iterator[Finding]:
    """The newest event tells of the payment as it is: what came after it changed none of these."""
    differences = {
        name: {"stored": getattr(payment, name), "told": told.get(name)}
        for name in _TOLD
        if told.get(name) != getattr(payment, name)
    }
    if differences:
        yield Finding("event_tells_otherwise", subject, differences)


def _check_refunds(dossier: Dossier) -> Iterator[Finding]:
    attempts = {row.refund_id: row for row in dossier.attempts if row.refund_id is not None}
    events = {event.object_id: event.type for event in dossier.events if event.object_id != dossier.payment.id}
    for refund in dossier.refunds:
        subject = public_id(Prefix.REFUND, refund.id)
        attempt = attempts.pop(refund.id, None)
        if attempt is None:
            yield Finding("refund_unexpected", subject, {"amount": refund.amount})
            continue
        status, event = _refund_of(attempt)
        stored = (refund.amount, refund.currency, refund.status)
        expected = (attempt.amount, dossier.payment.currency, status)
        if stored != expected:
            yield Finding("refund_differs", subject, {"stored": stored, "replayed": expected})
        if events.get(refund.id) != event:
            yield Finding("refund_event_differs", subject, {"stored": events.get(refund.id), "replayed": event})
    for refund_id in attempts:
        assert refund_id is not None
        yield Finding("refund_missing", public_id(Prefix.REFUND, refund_id), {})


def _refund_of(attempt: StoredAttempt) -> tuple[str, str | None]:
    match attempt.state:
        case "succeeded":
            return "succeeded", EventType.REFUND_SUCCEEDED.value
        case "declined" | "failed":
            return "failed", EventType.REFUND_FAILED.value
        case _:
            return "processing", None


def _check_settlement(dossier: Dossier, settled_until: datetime | None, subject: str) -> Iterator[Finding]:
    told = dossier.payment.settlement_id
    for posting in dossier.postings:
        attempt = public_id(Prefix.ATTEMPT, posting.attempt_id)
        if posting.settlement_id is None:
            if settled_until is not None and posting.created_at < settled_until:
                yield Finding("posting_unsettled", attempt, _posting(posting))
            continue
        is_capture = posting.debit == Account.PROCESSOR_RECEIVABLE
        if posting.settled_minor != (posting.amount if is_capture else -posting.amount):
            yield Finding("settled_amount_differs", attempt, {**_posting(posting), "settled": posting.settled_minor})
        if is_capture and told != posting.settlement_id and (posting.is_paid or told is not None):
            detail = {"stored": told, "settlement": posting.settlement_id}
            yield Finding("settlement_differs", subject, detail)
    if told is not None and all(posting.settlement_id is None for posting in dossier.postings):
        yield Finding("settlement_differs", subject, {"stored": told, "settlement": None})


def _own_events(dossier: Dossier) -> list[Any]:
    return [event for event in dossier.events if event.object_id == dossier.payment.id]


def _posting(posting: StoredPosting) -> dict[str, Any]:
    return {
        "debit": posting.debit,
        "credit": posting.credit,
        "amount": posting.amount,
        "currency": posting.currency,
    }
