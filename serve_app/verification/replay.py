"""Replays a payment's attempts through the domain model.

Attempts are put into the only order that the table of transitions allows: the authorization, then captures and voids,
those that failed first, then refunds as they ended. So two replicas whose clocks differ do no harm. Each begins right
before it ends: what it had reserved meanwhile kept others out, which the outcomes show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState, Outcome
from serve_app.domain.errors import DomainError
from serve_app.domain.ledger import Posting
from serve_app.domain.payment import Payment, PaymentStatus, begin, conclude
from serve_app.verification.records import StoredAttempt

_RANK = {"authorize": 0, "capture": 1, "void": 1, "refund": 2}


class Impossible(Exception):
    """The domain model would not have let these attempts happen."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the attempts make of a payment: its state, and the posting of each attempt that moved money."""

    payment: Payment
    postings: dict[UUID, Posting]
    events: list[str]


def replay(stored: Payment, attempts: Sequence[StoredAttempt]) -> Replayed:
    """Return what the attempts make of the payment, from what never changes of it.

    Raises:
        Impossible: no payment could have had these attempts.
    """
    ordered = sorted(attempts, key=_order)
    if not ordered or ordered[0].kind != AttemptKind.AUTHORIZE:
        raise Impossible("there is no authorization")
    payment = _as_begun(stored, ordered[0])
    postings: dict[UUID, Posting] = {}
    events: list[str] = []
    for number, row in enumerate(ordered):
        attempt = Attempt(row.id, AttemptKind(row.kind), row.amount, row.capture, row.processor, 0.0)
        try:
            if number > 0:
                payment = _begun(payment, attempt, row.started_at)
            if row.finished_at is not None:
                outcome = Outcome(AttemptState(row.state), row.finished_at, row.processor_reference, row.code)
                conclusion = conclude(payment, attempt, outcome)
                payment = conclusion.payment
                events.append(conclusion.event.value)
                if conclusion.posting is not None:
                    postings[row.id] = conclusion.posting
        except (DomainError, AssertionError, KeyError) as error:
            raise Impossible(f"{row.kind} {row.state}: {error}") from error
    return Replayed(payment, postings, events)


def _order(row: StoredAttempt) -> tuple[int, bool, bool, datetime, UUID]:
    is_open = row.finished_at is None
    # Of captures and voids at most one succeeds, and after it none begins.
    succeeded = row.state == AttemptState.SUCCEEDED and _RANK[row.kind] == 1
    return _RANK[row.kind], is_open, succeeded, row.finished_at or row.started_at, row.id


def _as_begun(stored: Payment, authorization: StoredAttempt) -> Payment:
    return replace(
        stored,
        amount=authorization.amount,
        amount_captured=0,
        amount_refunded=0,
        amount_refund_pending=0,
        status=PaymentStatus.PROCESSING,
        processor_reference=None,
        decline_code=None,
        version=1,
        sequence=0,
        pending_attempt=authorization.id,
        settlement_id=None,
        settled_at=None,
    )


def _begun(payment: Payment, attempt: Attempt, at: datetime) -> Payment:
    begun, amount = begin(payment, attempt.kind, attempt.id, attempt.amount, at)
    # A void is of the whole, whatever its attempt says.
    if amount != attempt.amount:
        raise Impossible(f"{attempt.kind} of {attempt.amount} instead of {amount}")
    return begun
