"""What verification finds in one payment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState, Outcome
from serve_app.domain.ids import new_id
from serve_app.domain.payment import Payment, PaymentStatus, begin, conclude
from serve_app.snapshots import encode_payment
from serve_app.verification.checks import check
from serve_app.verification.records import Dossier, StoredAttempt, StoredEvent, StoredPosting, StoredRefund
from tests.unit.domain.builders import NOW, new_payment

LATER = NOW + timedelta(days=30)
SETTLEMENT = new_id()


def _lived(*operations: tuple[AttemptKind, AttemptState, int], capture: bool = True) -> Dossier:
    """Let the domain model live through operations, and keep what a gateway would."""
    authorization = Attempt(new_id(), AttemptKind.AUTHORIZE, 1000, capture, "simulator", 5.0)
    payment = new_payment(pending_attempt=authorization.id)
    attempts, postings, events, refunds = [], [], [], []
    todo = [(authorization, AttemptState.SUCCEEDED)]
    steps = [(AttemptKind.AUTHORIZE, AttemptState.SUCCEEDED, 1000), *operations]
    for number, (kind, state, wanted) in enumerate(steps):
        if number:
            attempt_id = new_id()
            payment, amount = begin(payment, kind, attempt_id, wanted, NOW)
            todo.append((Attempt(attempt_id, kind, amount, False, "simulator", 5.0), state))
        attempt = todo[-1][0]
        refund_id = new_id() if kind is AttemptKind.REFUND else None
        at = NOW + timedelta(seconds=number)
        if not state.is_open:
            conclusion = conclude(payment, attempt, Outcome(state, at, f"ref_{number}", None))
            payment = conclusion.payment
            events.append(_event(payment, conclusion.event.value))
            if conclusion.posting is not None:
                postings.append(_posting(attempt.id, conclusion.posting))
        if refund_id is not None:
            succeeded = state is AttemptState.SUCCEEDED
            word = "processing" if state.is_open else "succeeded" if succeeded else "failed"
            refunds.append(StoredRefund(refund_id, attempt.amount, "USD", word, None, None))
            if not state.is_open:
                events.append(StoredEvent(refund_id, 1, f"refund.{word}", None))
        attempts.append(
            StoredAttempt(
                attempt.id, kind.value, state.value, attempt.amount, attempt.capture, "simulator",
                None if state.is_open else f"ref_{number}", None, refund_id, at, None if state.is_open else at,
            )
        )  # fmt: skip
    return Dossier(payment, attempts, postings, events, refunds)


def _event(payment: Payment, kind: str) -> StoredEvent:
    return StoredEvent(payment.id, payment.sequence, kind, encode_payment(payment).decode())


def _posting(attempt_id: Any, posting: Any) -> StoredPosting:
    parts = (attempt_id, 0, posting.debit.value, posting.credit.value, posting.amount, posting.currency)
    return StoredPosting(*parts, NOW, None, None, False)


DONE, FAILED, OPEN = AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.UNKNOWN
CAPTURE, REFUND, VOID = AttemptKind.CAPTURE, AttemptKind.REFUND, AttemptKind.VOID
REFUNDED = [(REFUND, DONE, 300), (REFUND, FAILED, 100), (REFUND, DONE, 700)]


@pytest.mark.parametrize(
    ("operations", "capture"),
    [
        ([], True),
        ([], False),
        ([(CAPTURE, FAILED, 500), (CAPTURE, DONE, 400), (REFUND, DONE, 400)], False),
        ([(VOID, FAILED, 1000), (VOID, DONE, 1000)], False),
        ([(CAPTURE, OPEN, 1000)], False),
        (REFUNDED, True),
        ([(REFUND, DONE, 100), (REFUND, OPEN, 100)], True),
    ],
)
def test_what_the_domain_model_did_agrees(operations: list[Any], capture: bool) -> None:
    """In whatever order its attempts are read."""
    dossier = _lived(*operations, capture=capture)
    assert check(dossier, None) == []
    assert check(replace(dossier, attempts=dossier.attempts[::-1]), None) == []


def test_clocks_that_differ_do_no_harm() -> None:
    """Captures and refunds that seem to have ended before the authorization."""
    dossier = _lived((CAPTURE, FAILED, 500), (CAPTURE, DONE, 400), (REFUND, DONE, 400), capture=False)
    early = [row._replace(finished_at=NOW - timedelta(seconds=number)) for number, row in enumerate(dossier.attempts)]
    assert check(replace(dossier, attempts=early), None) == []


def test_updates_and_settlements_raise_the_version() -> None:
    """An update also the sequence, by its event."""
    dossier = _lived()
    updated = replace(dossier.payment, version=dossier.payment.version + 1, sequence=dossier.payment.sequence + 1)
    events = [*dossier.events, _event(updated, "payment.updated")]
    assert check(replace(dossier, payment=updated, events=events), None) == []
    settled = replace(dossier.payment, version=dossier.payment.version + 1, settlement_id=SETTLEMENT, settled_at=NOW)
    postings = [dossier.postings[0]._replace(settlement_id=SETTLEMENT, settled_minor=1000, is_paid=True)]
    assert check(replace(dossier, payment=settled, postings=postings), LATER) == []


def _payment(**changes: Any) -> Callable[[Dossier], Dossier]:
    return lambda dossier: replace(dossier, payment=replace(dossier.payment, **changes))


def _settled(**changes: Any) -> Callable[[Dossier], Dossier]:
    whole = {"settlement_id": SETTLEMENT, "settled_minor": 1000, "is_paid": True, **changes}
    return lambda dossier: replace(dossier, postings=[dossier.postings[0]._replace(**whole), *dossier.postings[1:]])


def _retold(event: StoredEvent) -> StoredEvent:
    return event._replace(type="payment.voided")


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (_payment(amount_refunded=999), {"payment_differs", "event_tells_otherwise"}),
        (_payment(status=PaymentStatus.CAPTURED), {"payment_differs", "event_tells_otherwise"}),
        (_payment(version=99), {"payment_differs"}),
        (_payment(pending_attempt=new_id()), {"payment_differs"}),
        (_payment(processor_reference="other"), {"payment_differs"}),
        (lambda dossier: replace(dossier, attempts=[]), {"attempts_impossible"}),
        (lambda dossier: replace(dossier, attempts=[*dossier.attempts, dossier.attempts[0]]), {"attempts_impossible"}),
        (lambda dossier: replace(dossier, postings=dossier.postings[1:]), {"posting_missing"}),
        (lambda dossier: replace(dossier, postings=[*dossier.postings, dossier.postings[0]._replace(leg=1)]),
         {"posting_unexpected"}),
        (lambda dossier: replace(dossier, postings=[dossier.postings[0]._replace(amount=1), *dossier.postings[1:]]),
         {"posting_differs"}),
        (lambda dossier: replace(dossier, events=dossier.events[1:]), {"events_differ", "events_not_in_sequence"}),
        (lambda dossier: replace(dossier, events=[_retold(dossier.events[0]), *dossier.events[1:]]), {"events_differ"}),
        (lambda dossier: replace(dossier, events=[event for event in dossier.events if event.type != "refund.failed"]),
         {"refund_event_differs"}),
        (lambda dossier: replace(dossier, refunds=dossier.refunds[1:]), {"refund_missing"}),
        (lambda dossier: replace(dossier, refunds=[*dossier.refunds, dossier.refunds[0]._replace(id=new_id())]),
         {"refund_unexpected"}),
        (lambda dossier: replace(dossier, refunds=[dossier.refunds[0]._replace(amount=1), *dossier.refunds[1:]]),
         {"refund_differs"}),
        (_settled(settled_minor=999), {"settled_amount_differs", "settlement_differs"}),
        (_settled(), {"settlement_differs"}),
        (_settled(is_paid=False), set()),
        (_payment(settlement_id=SETTLEMENT), {"payment_differs", "settlement_differs"}),
    ],
)  # fmt: skip
def test_each_harm_is_found(harm: Callable[[Dossier], Dossier], kinds: set[str]) -> None:
    """By what is wrong, and nothing else."""
    assert {finding.kind for finding in check(harm(_lived(*REFUNDED)), None)} == kinds


def test_what_should_be_settled_and_is_not() -> None:
    """From the end of the last day that was settled on it may wait."""
    assert {finding.kind for finding in check(_lived(), LATER)} == {"posting_unsettled"}
    assert check(_lived(), NOW) == []
