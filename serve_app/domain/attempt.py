"""An attempt: one operation asked of a processor, from its durable intent to its recorded outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class AttemptKind(StrEnum):
    """What is asked of the processor."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class AttemptState(StrEnum):
    """How far an attempt is; `started` and `unknown` are open, the others final."""

    STARTED = "started"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Say whether the outcome is still to be found out."""
        return self in _OPEN


_OPEN = frozenset({AttemptState.STARTED, AttemptState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Attempt:
    """The intent, as it is stored before the processor is called.

    `amount` is in minor units; `capture` says that an authorization captures at once. The attempt's id is the
    processor's idempotency key. `timeout_s` after its start it may no longer be sent, and the resolver takes it.
    """

    id: UUID
    kind: AttemptKind
    amount: int
    capture: bool
    processor: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a processor definitely did about an attempt; `state` is final.

    `code` says why it was declined or failed. `reference` is the processor's name of the charge.
    """

    state: AttemptState
    at: datetime
    reference: str | None = None
    code: str | None = None

    def __post_init__(self) -> None:
        assert not self.state.is_open, "an outcome is final"
