"""What a request about money is answered with."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from serve_app.domain.attempt import AttemptState


@dataclass(frozen=True, slots=True)
class Answer:
    """The state of the attempt behind a request and the object as JSON: the payment, or the refund of a refund.

    An open state means that the outcome is not known yet. `code` says why it was declined or failed. `replayed`: an
    earlier request with the same key had this outcome.
    """

    state: AttemptState
    payment_id: UUID
    body: bytes
    code: str | None = None
    replayed: bool = False
