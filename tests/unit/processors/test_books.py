"""The acquirer's books, on a shelf in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.books import MISMATCH, AcquirerBooks, Charge, reference_of
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    ProcessorRequest,
    Refused,
)
from serve_app.processors.simulator import MemoryShelf

MakeRequest = Callable[..., ProcessorRequest]


@pytest.fixture
def shelf() -> MemoryShelf:
    return MemoryShelf(entries_max=100)


@pytest.fixture
def books(shelf: MemoryShelf) -> AcquirerBooks:
    return AcquirerBooks(shelf, knows_all=True)


@pytest.fixture
def partial_books(shelf: MemoryShelf) -> AcquirerBooks:
    return AcquirerBooks(shelf, knows_all=False)


def approve(books: AcquirerBooks, request: ProcessorRequest) -> str:
    outcome = books.perform(request)
    assert isinstance(outcome, Approved), outcome
    return outcome.reference


def rejected(code: str) -> Failed:
    return Failed(code, retryable=False)


def test_authorization_opens_a_charge(books: AcquirerBooks, shelf: MemoryShelf, make_request: MakeRequest) -> None:
    """An approved authorization holds the amount open until it is captured or released."""
    reference = approve(books, make_request(amount_minor=700))
    charge = shelf.charge(reference)
    assert charge == Charge(reference, "USD", authorized_minor=700)
    assert charge.open_minor == 700


def test_authorization_with_capture_takes_the_money(
    books: AcquirerBooks, shelf: MemoryShelf, make_request: MakeRequest
) -> None:
    """An authorization that captures leaves nothing open."""
    reference = approve(books, make_request(amount_minor=700, capture=True))
    assert shelf.charge(reference) == Charge(reference, "USD", authorized_minor=700, captured_minor=700)


def test_decline_is_recorded_without_a_charge(
    books: AcquirerBooks, shelf: MemoryShelf, make_request: MakeRequest
) -> None:
    """A declined card moves nothing, and stays declined under that attempt."""
    request = make_request(token="tok_insufficient_funds")
    outcome = books.perform(request)
    assert outcome == Declined("insufficient_funds", reference_of(request))
    assert shelf.charge(reference_of(request)) is None
    assert books.perform(request) == outcome


def test_repeat_moves_no_money(books: AcquirerBooks, shelf: MemoryShelf, make_request: MakeRequest) -> None:
    """A repeated refund answers as before and refunds nothing more."""
    reference = approve(books, make_request(capture=True))
    refund = make_request(AttemptKind.REFUND, amount_minor=600, reference=reference)
    assert books.perform(refund) == books.perform(refund)
    charge = shelf.charge(reference)
    assert charge is not None
    assert charge.refunded_minor == 600


def test_other_request_under_a_used_attempt(books: AcquirerBooks, make_request: MakeRequest) -> None:
    """Another request under a used attempt id does nothing and proves nothing."""
    approve(books, make_request(attempt_id="att_a"))
    assert books.perform(make_request(attempt_id="att_a", amount_minor=1)) == MISMATCH


def test_partial_capture_releases_the_rest(books: AcquirerBooks, shelf: MemoryShelf, make_request: MakeRequest) -> None:
    """What a capture does not take is released."""
    reference = approve(books, make_request(amount_minor=1_000))
    approve(books, make_request(AttemptKind.CAPTURE, amount_minor=400, reference=reference))
    assert shelf.charge(reference) == Charge(reference, "USD", 1_000, captured_minor=400, released_minor=600)


def test_void_releases_everything(books: AcquirerBooks, shelf: MemoryShelf, make_request: MakeRequest) -> None:
    """A void releases the whole authorization, whatever amount it names."""
    reference = approve(books, make_request(amount_minor=1_000))
    void = make_request(AttemptKind.VOID, amount_minor=1, reference=reference)
    approve(books, void)
    assert shelf.charge(reference) == Charge(reference, "USD", 1_000, released_minor=1_000)
    entry = books.find(void.attempt_id)
    assert entry is not None
    assert entry.moved_minor == 1_000


@pytest.mark.parametrize(
    ("capture", "before", "kind", "amount_minor", "code"),
    [
        (True, None, AttemptKind.CAPTURE, 1_000, "already_captured"),
        (True, None, AttemptKind.VOID, 1_000, "already_captured"),
        (False, AttemptKind.VOID, AttemptKind.CAPTURE, 1_000, "already_voided"),
        (False, AttemptKind.VOID, AttemptKind.VOID, 1_000, "already_voided"),
        (False, AttemptKind.CAPTURE, AttemptKind.CAPTURE, 1, "already_captured"),
        (False, None, AttemptKind.CAPTURE, 1_001, "amount_exceeds_authorized"),
        (False, None, AttemptKind.CAPTURE, 0, "invalid_amount"),
        (False, None, AttemptKind.REFUND, 1, "not_captured"),
        (True, None, AttemptKind.REFUND, 1_001, "amount_exceeds_captured"),
        (True, AttemptKind.REFUND, AttemptKind.REFUND, 1, "amount_exceeds_captured"),
        (True, None, AttemptKind.REFUND, -1, "invalid_amount"),
    ],
)
def test_impossible_operations_are_rejected_for_ever(
    books: AcquirerBooks,
    make_request: MakeRequest,
    capture: bool,
    before: AttemptKind | None,
    kind: AttemptKind,
    amount_minor: int,
    code: str,
) -> None:
    """An operation that the charge does not allow is rejected, with the reason, at each repeat."""
    reference = approve(books, make_request(amount_minor=1_000, capture=capture))
    if before is not None:
        approve(books, make_request(before, amount_minor=1_000, reference=reference))
    request = make_request(kind, amount_minor=amount_minor, reference=reference)
    assert books.perform(request) == rejected(code)
    assert books.perform(request) == rejected(code)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token": "tok_unheard_of"}, "unknown_token"),
        ({"amount_minor": 0}, "invalid_amount"),
        ({"kind": AttemptKind.REFUND}, "reference_missing"),
        ({"kind": AttemptKind.VOID, "reference": "auth_nobodys"}, "reference_not_found"),
    ],
)
def test_senseless_requests_are_rejected(
    books: AcquirerBooks, make_request: MakeRequest, changes: dict[str, object], code: str
) -> None:
    """A request that names no card, no money or no charge is rejected."""
    assert books.perform(make_request(**changes)) == rejected(code)


def test_other_currency_is_rejected(books: AcquirerBooks, make_request: MakeRequest) -> None:
    """A charge is captured and refunded in its own currency alone."""
    reference = approve(books, make_request(capture=True))
    refund = make_request(AttemptKind.REFUND, amount_minor=1, currency="EUR", reference=reference)
    assert books.perform(refund) == rejected("currency_mismatch")


def test_refused_attempt_can_never_be_performed(books: AcquirerBooks, make_request: MakeRequest) -> None:
    """After a refusal the attempt fails for ever, and stays refused."""
    request = make_request()
    assert books.refuse(request.attempt_id) == Refused()
    assert books.perform(request) == rejected("refused")
    assert books.refuse(request.attempt_id) == Refused()


def test_performed_attempt_cannot_be_refused(books: AcquirerBooks, make_request: MakeRequest) -> None:
    """A refusal that comes too late answers what was done."""
    request = make_request()
    outcome = books.perform(request)
    assert books.refuse(request.attempt_id) == outcome


def test_partial_books_accept_what_they_cannot_know(partial_books: AcquirerBooks, make_request: MakeRequest) -> None:
    """Where other processes authorize too, an unknown reference is theirs and is accepted."""
    approve(partial_books, make_request(AttemptKind.CAPTURE, reference="auth_elsewhere"))


def test_partial_books_take_a_refund_as_proof_of_capture(
    partial_books: AcquirerBooks, make_request: MakeRequest
) -> None:
    """A refund of an open authorization was captured elsewhere; past the authorized amount it is rejected."""
    reference = approve(partial_books, make_request(amount_minor=1_000))
    approve(partial_books, make_request(AttemptKind.REFUND, amount_minor=700, reference=reference))
    too_much = make_request(AttemptKind.REFUND, amount_minor=400, reference=reference)
    assert partial_books.perform(too_much) == rejected("amount_exceeds_captured")


def test_partial_books_enforce_what_they_know(partial_books: AcquirerBooks, make_request: MakeRequest) -> None:
    """A capture after a void of these books is rejected."""
    reference = approve(partial_books, make_request())
    approve(partial_books, make_request(AttemptKind.VOID, reference=reference))
    assert partial_books.perform(make_request(AttemptKind.CAPTURE, reference=reference)) == rejected("already_voided")


def test_references_hold_no_digits(make_request: MakeRequest) -> None:
    """A reference cannot pass for a card number, and tells the kind of its operation."""
    references = {reference_of(make_request(attempt_id=f"att_{number}")) for number in range(200)}
    assert len(references) == 200
    assert not any(character.isdigit() for reference in references for character in reference)
    assert reference_of(make_request(AttemptKind.REFUND)).startswith("rfnd_")


def test_charge_that_loses_money_cannot_be_made() -> None:
    """A charge whose amounts do not add up is a broken invariant."""
    with pytest.raises(AssertionError):
        Charge("auth_x", "USD", authorized_minor=10, captured_minor=6, released_minor=5)
    with pytest.raises(AssertionError):
        Charge("auth_x", "USD", authorized_minor=10, captured_minor=6, refunded_minor=7)
