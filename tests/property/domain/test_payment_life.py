"""Random lives of a payment: money is conserved and no transition outside the table happens."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState
from serve_app.domain.errors import InvalidAmount, TransitionForbidden
from serve_app.domain.ids import new_id
from serve_app.domain.ledger import Account, Posting, balances
from serve_app.domain.payment import TRANSITIONS, Payment, begin, conclude
from tests.unit.domain.builders import NOW, attempt_on, new_payment, outcome

_STATES = st.sampled_from([AttemptState.SUCCEEDED, AttemptState.DECLINED, AttemptState.FAILED])


class PaymentLife(RuleBasedStateMachine):
    """One payment, operations begun at random, and their outcomes in any order."""

    @initialize(amount=st.integers(1, 10**12), capture=st.booleans(), currency=st.sampled_from(["USD", "JPY", "KWD"]))
    def create(self, amount: int, capture: bool, currency: str) -> None:
        """Begin the payment."""
        self.payment: Payment = new_payment(amount=amount, currency=currency)
        self.open: list[Attempt] = [attempt_on(self.payment, AttemptKind.AUTHORIZE, amount, capture=capture)]
        self.postings: list[Posting] = []
        self.refunded = 0

    @rule(kind=st.sampled_from([AttemptKind.CAPTURE, AttemptKind.VOID, AttemptKind.REFUND]), data=st.data())
    def operate(self, kind: AttemptKind, data: st.DataObject) -> None:
        """Ask for an operation; it begins or is refused, and refused it changes nothing."""
        amount = data.draw(st.none() | st.integers(1, self.payment.amount + 1))
        attempt_id = new_id()
        try:
            begun, attempted = begin(self.payment, kind, attempt_id, amount, NOW)
        except (TransitionForbidden, InvalidAmount):
            return
        assert attempted <= self.payment.amount
        self._replace(begun)
        self.open.append(Attempt(attempt_id, kind, attempted, False, "simulator", 5.0))

    @precondition(lambda self: bool(self.open))
    @rule(data=st.data(), state=_STATES)
    def outcome_arrives(self, data: st.DataObject, state: AttemptState) -> None:
        """Conclude one of the open attempts."""
        attempt = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        result = conclude(self.payment, attempt, outcome(state, None if state is AttemptState.SUCCEEDED else "no"))
        self._replace(result.payment)
        if result.posting is not None:
            self.postings.append(result.posting)
        if attempt.kind is AttemptKind.REFUND and state is AttemptState.SUCCEEDED:
            self.refunded += attempt.amount

    def _replace(self, payment: Payment) -> None:
        change = (self.payment.status, payment.status)
        assert change[0] == change[1] or change in TRANSITIONS
        assert payment.version == self.payment.version + 1
        self.payment = payment

    @invariant()
    def money_is_conserved(self) -> None:
        """What is refunded was captured, what is captured was authorized, and the books say the same."""
        payment = self.payment
        assert 0 <= payment.amount_refunded + payment.amount_refund_pending <= payment.amount_captured <= payment.amount
        assert payment.amount_refunded == self.refunded
        books = balances(self.postings)
        kept = payment.amount_captured - payment.amount_refunded
        assert books.get((Account.PROCESSOR_RECEIVABLE, payment.currency), 0) == kept
        assert books.get((Account.MERCHANT_PAYABLE, payment.currency), 0) == -kept
        assert sum(books.values()) == 0


TestPaymentLife = PaymentLife.TestCase
TestPaymentLife.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
