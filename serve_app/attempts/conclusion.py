"""Turns an outcome into what is recorded and answered. Pure but for the new events' ids."""

from __future__ import annotations

from dataclasses import dataclass

from serve_app.attempts.answer import Answer
from serve_app.attempts.intent import Intent
from serve_app.attempts.rows import ConcludeRow
from serve_app.domain.attempt import AttemptKind, AttemptState, Outcome
from serve_app.domain.ids import new_id
from serve_app.domain.payment import Payment, conclude
from serve_app.snapshots import encode_payment, encode_refund

AUDIT_ACTIONS = {
    AttemptKind.AUTHORIZE: "payment.create",
    AttemptKind.CAPTURE: "payment.capture",
    AttemptKind.VOID: "payment.void",
    AttemptKind.REFUND: "refund.create",
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row for the database, with the answer and the payment as they are once it is written."""

    row: ConcludeRow
    answer: Answer
    payment: Payment
    payment_json: bytes


def record(intent: Intent, outcome: Outcome) -> Recorded:
    """Apply the outcome to the intent's payment and refund."""
    conclusion = conclude(intent.payment, intent.attempt, outcome)
    payment, posting = conclusion.payment, conclusion.posting
    refund = intent.refund.concluded(outcome) if intent.refund is not None else None
    payment_json = encode_payment(payment)
    refund_json = encode_refund(refund) if refund is not None else None
    row = ConcludeRow(
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        attempt_id=intent.attempt.id,
        attempt_state=outcome.state.value,
        reference=outcome.reference,
        code=outcome.code,
        concluded_at=outcome.at,
        version=payment.version,
        sequence=payment.sequence,
        status=payment.status.value,
        captured=payment.amount_captured,
        refunded=payment.amount_refunded,
        refund_pending=payment.amount_refund_pending,
        pending_attempt=payment.pending_attempt,
        payment_reference=payment.processor_reference,
        decline_code=payment.decline_code,
        debit=posting.debit.value if posting else None,
        credit=posting.credit.value if posting else None,
        posted=posting.amount if posting else None,
        event_id=new_id(),
        event_type=conclusion.event.value,
        event_data=payment_json.decode(),
        refund_event_id=new_id() if refund else None,
        refund_event_data=refund_json.decode() if refund_json else None,
        audit_id=new_id(),
        audit_action=AUDIT_ACTIONS[intent.attempt.kind],
    )
    answer = Answer(outcome.state, payment.id, refund_json or payment_json, outcome.code)
    return Recorded(row, answer, payment, payment_json)


def pending(intent: Intent) -> Answer:
    """Return the answer while the outcome is not known."""
    body = encode_payment(intent.payment) if intent.refund is None else encode_refund(intent.refund)
    return Answer(AttemptState.UNKNOWN, intent.payment.id, body)
