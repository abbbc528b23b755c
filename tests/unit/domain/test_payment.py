"""The transition table of payments."""

from __future__ import annotations

import pytest

from serve_app.domain.attempt import AttemptKind, AttemptState
from serve_app.domain.errors import InvalidAmount, TransitionForbidden
from serve_app.domain.events import EventType
from serve_app.domain.ids import new_id
from serve_app.domain.ledger import Account, Posting
from serve_app.domain.payment import Payment, PaymentStatus, begin, conclude
from tests.unit.domain.builders import NOW, attempt_on, new_payment, outcome


def _authorized(amount: int = 1000) -> Payment:
    payment = new_payment(amount=amount)
    attempt = attempt_on(payment, AttemptKind.AUTHORIZE, amount)
    return conclude(payment, attempt, outcome(AttemptState.SUCCEEDED)).payment


def _captured(amount: int = 1000) -> Payment:
    payment = new_payment(amount=amount)
    attempt = attempt_on(payment, AttemptKind.AUTHORIZE, amount, capture=True)
    return conclude(payment, attempt, outcome(AttemptState.SUCCEEDED)).payment


def _refunded(payment: Payment, amount: int | None = None) -> Payment:
    attempt_id = new_id()
    begun, refund = begin(payment, AttemptKind.REFUND, attempt_id, amount, NOW)
    attempt = attempt_on(begun, AttemptKind.REFUND, refund)
    return conclude(begun, attempt, outcome(AttemptState.SUCCEEDED)).payment


def test_an_authorization_holds_without_moving_money() -> None:
    """An approved authorization is authorized, has captured nothing and posts nothing."""
    payment = new_payment()
    result = conclude(payment, attempt_on(payment, AttemptKind.AUTHORIZE, 1000), outcome(AttemptState.SUCCEEDED))
    assert (result.payment.status, result.payment.amount_captured) == (PaymentStatus.AUTHORIZED, 0)
    assert (result.posting, result.event) == (None, EventType.PAYMENT_AUTHORIZED)
    assert result.payment.pending_attempt is None


def test_an_authorization_with_capture_takes_the_money() -> None:
    """An approved authorization with capture is captured and posts the whole amount."""
    payment = new_payment()
    attempt = attempt_on(payment, AttemptKind.AUTHORIZE, 1000, capture=True)
    result = conclude(payment, attempt, outcome(AttemptState.SUCCEEDED))
    assert (result.payment.status, result.payment.amount_captured) == (PaymentStatus.CAPTURED, 1000)
    assert result.posting == Posting(Account.PROCESSOR_RECEIVABLE, Account.MERCHANT_PAYABLE, 1000, "USD")


@pytest.mark.parametrize(
    ("state", "status", "decline_code"),
    [
        (AttemptState.DECLINED, PaymentStatus.DECLINED, "no"),
        (AttemptState.FAILED, PaymentStatus.FAILED, None),
    ],
)
def test_a_refused_authorization_ends_the_payment(
    state: AttemptState, status: PaymentStatus, decline_code: str | None
) -> None:
    """A decline and a failure are states of their own; only a decline has a decline code."""
    payment = new_payment()
    result = conclude(payment, attempt_on(payment, AttemptKind.AUTHORIZE, 1000), outcome(state, "no"))
    assert (result.payment.status, result.payment.decline_code) == (status, decline_code)
    assert result.posting is None


def test_a_partial_capture_releases_the_rest() -> None:
    """A capture of a part is captured with that amount; nothing more can be captured."""
    payment = _authorized()
    begun, amount = begin(payment, AttemptKind.CAPTURE, new_id(), 400, NOW)
    captured = conclude(begun, attempt_on(begun, AttemptKind.CAPTURE, amount), outcome(AttemptState.SUCCEEDED)).payment
    assert (captured.status, captured.amount_captured) == (PaymentStatus.CAPTURED, 400)
    with pytest.raises(TransitionForbidden):
        begin(captured, AttemptKind.CAPTURE, new_id(), 1, NOW)


def test_a_capture_of_more_than_authorized_is_refused() -> None:
    """The field at fault is named."""
    with pytest.raises(InvalidAmount) as refused:
        begin(_authorized(), AttemptKind.CAPTURE, new_id(), 1001, NOW)
    assert refused.value.field == "amount"


def test_a_declined_void_leaves_the_payment_authorized() -> None:
    """What the processor refused did not happen."""
    begun, amount = begin(_authorized(), AttemptKind.VOID, new_id(), None, NOW)
    result = conclude(begun, attempt_on(begun, AttemptKind.VOID, amount), outcome(AttemptState.DECLINED, "late"))
    assert (result.payment.status, result.event) == (PaymentStatus.AUTHORIZED, EventType.PAYMENT_VOID_FAILED)
    assert result.payment.pending_attempt is None


def test_one_operation_holds_an_authorized_payment() -> None:
    """While a capture is open, a void is refused, and the other way round."""
    begun, _ = begin(_authorized(), AttemptKind.CAPTURE, new_id(), None, NOW)
    with pytest.raises(TransitionForbidden):
        begin(begun, AttemptKind.VOID, new_id(), None, NOW)


def test_two_refunds_at_once_share_what_is_left() -> None:
    """A refund in flight counts as given: a second that would exceed the capture is refused, one that fits is not."""
    first, _ = begin(_captured(), AttemptKind.REFUND, new_id(), 600, NOW)
    with pytest.raises(TransitionForbidden):
        begin(first, AttemptKind.REFUND, new_id(), 401, NOW)
    second, amount = begin(first, AttemptKind.REFUND, new_id(), None, NOW)
    assert (amount, second.amount_refund_pending) == (400, 1000)


def test_partial_refunds_that_sum_to_the_capture_end_refunded() -> None:
    """Two halves make a whole."""
    half = _refunded(_captured(), 500)
    assert half.status is PaymentStatus.PARTIALLY_REFUNDED
    assert _refunded(half, 500).status is PaymentStatus.REFUNDED


def test_a_failed_refund_gives_its_reservation_back() -> None:
    """After a refund that failed, the whole amount can be refunded."""
    begun, amount = begin(_captured(), AttemptKind.REFUND, new_id(), None, NOW)
    failed = conclude(begun, attempt_on(begun, AttemptKind.REFUND, amount), outcome(AttemptState.FAILED, "no")).payment
    assert (failed.status, failed.amount_refundable) == (PaymentStatus.CAPTURED, 1000)


def test_an_attempt_that_does_not_hold_the_payment_cannot_conclude_it() -> None:
    """A broken invariant is an assertion, not a state."""
    payment = new_payment()
    stranger = attempt_on(new_payment(), AttemptKind.AUTHORIZE, 1000)
    with pytest.raises(AssertionError):
        conclude(payment, stranger, outcome(AttemptState.SUCCEEDED))
