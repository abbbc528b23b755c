"""What the gateway asks of a payment processor, and what each answer proves.

An operation is named by its attempt id, which is the processor's idempotency key. The rule for every
connector: one attempt id moves money at most once, however often and from however many processes it is
performed. So `perform` may always be repeated with the *same* request, and never under a new attempt id while
the old one is open.

Answers are values, never exceptions. They split by what the caller may conclude:

| answer | proves | the attempt is |
|---|---|---|
| `Approved`, `Declined` | the processor has decided and remembers it | final |
| `Failed(retryable=False)` | the processor rejects this attempt for ever, nothing moved | final |
| `Failed(retryable=True)` | this call did nothing; an earlier one of the attempt may have | free to retry |
| `Unknown` | nothing: it was or may have been sent | open until `lookup` or `refuse` closes it |
| `NotFound` | nothing done so far; a request on the wire may yet arrive | open until `refuse` closes it |
| `Pending`, `LookupFailed` | nothing | open, ask again later |
| `Refused` | nothing was done and nothing ever will be under this id | final |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from serve_app.domain.attempt import AttemptKind


@dataclass(frozen=True, slots=True)
class ProcessorRequest:
    """Describe one operation completely, so that a repeat from any process is the same operation.

    `capture` asks an authorization to take the money at once and means nothing for other kinds. `reference`
    is the processor's reference of the authorization and is needed by capture, void and refund. A capture may
    be partial; it is the only one of its authorization and releases the rest. A void releases everything,
    whatever its amount.
    """

    attempt_id: str
    kind: AttemptKind
    amount_minor: int
    currency: str
    token: str
    capture: bool
    reference: str | None


@dataclass(frozen=True, slots=True)
class Approved:
    """The operation was done. `reference` names it, and is the same at each repeat and lookup."""

    reference: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The issuer said no to an authorization; no money moved. `code` is fit to show to the payer."""

    code: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing was done.

    With `retryable` the processor or the way to it was at fault and remembers nothing: the same attempt may
    be sent again. It speaks for its own call alone: if an earlier call of the attempt ended `Unknown`, the
    attempt is still open. Without `retryable` the processor has recorded the rejection, which is final for
    the attempt.
    """

    code: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """The operation was or may have been sent and no answer came: the money may have moved."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The processor is working on the attempt at this moment: concludes nothing."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """The processor has not seen the attempt so far. Only `refuse` makes sure that it never will."""


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """The processor could not be asked, or did not answer in time: concludes nothing, ask again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The attempt was never performed and can never be performed from now on."""


Definite = Approved | Declined | Failed
Outcome = Approved | Declined | Failed | Unknown
Lookup = Approved | Declined | Failed | Pending | NotFound | LookupFailed
Refusal = Refused | Approved | Declined | Failed | LookupFailed


class Processor(Protocol):
    """Connect the gateway to one processor. Nothing here raises for faults of the outside world.

    `name` is stored with each payment. `can_refuse` says whether `refuse` is atomic at this processor; where
    it is not, the caller resolves an unseen attempt by performing it again and voiding what that made.
    """

    @property
    def name(self) -> str: ...

    @property
    def can_refuse(self) -> bool: ...

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        """Carry out the operation and answer within `timeout_s`.

        Safe to repeat with the same request, from any process and at the same time: the repeats get the
        answer of the one that moved the money. Another request under a used attempt id does nothing and
        answers `Unknown`, because what happened under that id is only told by `lookup`.
        """
        ...

    async def lookup(self, request: ProcessorRequest, *, timeout_s: float) -> Lookup:
        """Ask what became of the attempt. Changes nothing; safe to repeat."""
        ...

    async def refuse(self, request: ProcessorRequest, *, timeout_s: float) -> Refusal:
        """Forbid the attempt for ever, or answer what it came to where it was performed first.

        Atomic: no attempt is both refused and performed. One that is being performed is waited for. After
        `LookupFailed` the refusal may or may not stand; safe to repeat, and only a definite answer concludes.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to repeat; nothing may be performed afterwards."""
        ...
