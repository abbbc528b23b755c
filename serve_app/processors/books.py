"""The acquirer's own books: what was authorized, captured, released and refunded, and under which attempt id.

Pure rules over a `Shelf` that holds the entries: a dictionary in the simulator, an SQLite transaction in the
acquirer. An attempt id has one entry for ever: what it came to, or the tombstone of its refusal. Of each
charge, money is conserved: refunded <= captured, and captured + released <= authorized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Definite,
    Failed,
    ProcessorRequest,
    Refused,
    Unknown,
)
from serve_app.processors.tokens import lookup_token

MISMATCH = Unknown("attempt_mismatch")
_LETTERS_FOR_DIGITS = str.maketrans("0123456789", "ghijklmnop")
_PREFIXES = {
    AttemptKind.AUTHORIZE: "auth_",
    AttemptKind.CAPTURE: "capt_",
    AttemptKind.VOID: "void_",
    AttemptKind.REFUND: "rfnd_",
}


@dataclass(frozen=True, slots=True)
class Charge:
    """Hold the money of one authorization. What is neither captured nor released is still open."""

    reference: str
    currency: str
    authorized_minor: int
    captured_minor: int = 0
    released_minor: int = 0
    refunded_minor: int = 0

    def __post_init__(self) -> None:
        amounts = (self.authorized_minor, self.captured_minor, self.released_minor, self.refunded_minor)
        assert min(amounts) >= 0, self
        assert self.captured_minor + self.released_minor <= self.authorized_minor, self
        assert self.refunded_minor <= self.captured_minor, self

    @property
    def open_minor(self) -> int:
        return self.authorized_minor - self.captured_minor - self.released_minor


@dataclass(frozen=True, slots=True)
class Entry:
    """Record what an attempt came to and the money that it moved. A tombstone has no request."""

    attempt_id: str
    request: ProcessorRequest | None
    result: Definite | Refused
    moved_minor: int = 0


class Shelf(Protocol):
    """Keep entries and charges. A write replaces nothing but the charge of the same reference."""

    def entry(self, attempt_id: str) -> Entry | None: ...

    def charge(self, reference: str) -> Charge | None: ...

    def add_entry(self, entry: Entry) -> None: ...

    def put_charge(self, charge: Charge) -> None: ...


@dataclass(frozen=True, slots=True)
class Ruling:
    """Decide one operation: its result, the charge as it is afterwards, the money moved."""

    result: Definite
    charge: Charge | None = None
    moved_minor: int = 0


class AcquirerBooks:
    """Decide operations and write them down, each attempt id once.

    `knows_all` says that every operation goes through these books, so that an unknown reference is an error.
    Without it other processes authorize and capture too: what these books know is still enforced, what they
    cannot know is accepted, and a refund proves a capture that they did not see.
    """

    def __init__(self, shelf: Shelf, *, knows_all: bool) -> None:
        self._shelf = shelf
        self._knows_all = knows_all

    def perform(self, request: ProcessorRequest) -> Definite | Unknown:
        """Perform the operation, or answer what was recorded under its attempt id. Safe to repeat."""
        entry = self._shelf.entry(request.attempt_id)
        if entry is not None:
            return replay(entry, request)
        ruling = self._rule(request)
        if ruling.charge is not None:
            self._shelf.put_charge(ruling.charge)
        self._shelf.add_entry(Entry(request.attempt_id, request, ruling.result, ruling.moved_minor))
        return ruling.result

    def find(self, attempt_id: str) -> Entry | None:
        """Return what is recorded under the attempt id."""
        return self._shelf.entry(attempt_id)

    def refuse(self, attempt_id: str) -> Refused | Definite:
        """Lay a tombstone on an unused attempt id, or answer what was recorded. Safe to repeat."""
        entry = self._shelf.entry(attempt_id)
        if entry is not None:
            return entry.result
        self._shelf.add_entry(Entry(attempt_id, None, Refused()))
        return Refused()

    def _rule(self, request: ProcessorRequest) -> Ruling:
        if request.kind is AttemptKind.AUTHORIZE:
            return _authorize(request)
        if request.reference is None:
            return _reject("reference_missing")
        charge = self._shelf.charge(request.reference)
        if charge is None:
            return _reject("reference_not_found") if self._knows_all else _approve(request, None, 0)
        if charge.currency != request.currency:
            return _reject("currency_mismatch")
        if not self._knows_all and request.kind is AttemptKind.REFUND:
            charge = replace(charge, captured_minor=charge.captured_minor + charge.open_minor)
        return _RULES[request.kind](request, charge)


def replay(entry: Entry, request: ProcessorRequest) -> Definite | Unknown:
    """Answer a performed request from its entry; another request under the same id proves nothing."""
    if isinstance(entry.result, Refused):
        return Failed("refused", retryable=False)
    return entry.result if entry.request == request else MISMATCH


def reference_of(request: ProcessorRequest) -> str:
    """Name an operation after its attempt id, the same in every process.

    Letters alone: a run of digits in it could pass for a card number.
    """
    digest = blake2b(request.attempt_id.encode(), digest_size=12).hexdigest()
    return _PREFIXES[request.kind] + digest.translate(_LETTERS_FOR_DIGITS)


def _approve(request: ProcessorRequest, charge: Charge | None, moved_minor: int) -> Ruling:
    return Ruling(Approved(reference_of(request)), charge, moved_minor)


def _reject(code: str) -> Ruling:
    return Ruling(Failed(code, retryable=False))


def _authorize(request: ProcessorRequest) -> Ruling:
    card = lookup_token(request.token)
    if card is None:
        return _reject("unknown_token")
    if request.amount_minor <= 0:
        return _reject("invalid_amount")
    if card.decline_code is not None:
        return Ruling(Declined(card.decline_code, reference_of(request)))
    charge = Charge(
        reference_of(request),
        request.currency,
        request.amount_minor,
        captured_minor=request.amount_minor if request.capture else 0,
    )
    return _approve(request, charge, request.amount_minor)


def _capture(request: ProcessorRequest, charge: Charge) -> Ruling:
    if not charge.open_minor:
        return _reject("already_captured" if charge.captured_minor else "already_voided")
    if request.amount_minor <= 0:
        return _reject("invalid_amount")
    if request.amount_minor > charge.open_minor:
        return _reject("amount_exceeds_authorized")
    rest_minor = charge.open_minor - request.amount_minor
    after = replace(charge, captured_minor=request.amount_minor, released_minor=rest_minor)
    return _approve(request, after, request.amount_minor)


def _void(request: ProcessorRequest, charge: Charge) -> Ruling:
    if not charge.open_minor:
        return _reject("already_captured" if charge.captured_minor else "already_voided")
    return _approve(request, replace(charge, released_minor=charge.authorized_minor), charge.open_minor)


def _refund(request: ProcessorRequest, charge: Charge) -> Ruling:
    if request.amount_minor <= 0:
        return _reject("invalid_amount")
    if not charge.captured_minor:
        return _reject("not_captured")
    if request.amount_minor > charge.captured_minor - charge.refunded_minor:
        return _reject("amount_exceeds_captured")
    after = replace(charge, refunded_minor=charge.refunded_minor + request.amount_minor)
    return _approve(request, after, request.amount_minor)


_RULES: dict[AttemptKind, Callable[[ProcessorRequest, Charge], Ruling]] = {
    AttemptKind.CAPTURE: _capture,
    AttemptKind.VOID: _void,
    AttemptKind.REFUND: _refund,
}
