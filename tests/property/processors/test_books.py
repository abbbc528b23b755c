"""Money is conserved in the books, whatever is asked of them and in whatever order."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.books import MISMATCH, AcquirerBooks
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Definite,
    Failed,
    ProcessorRequest,
    Refused,
    Unknown,
)
from serve_app.processors.simulator import MemoryShelf

AMOUNTS_MINOR = st.integers(min_value=-1, max_value=60)
CURRENCIES = st.sampled_from(["USD", "JPY"])
TOKENS = st.sampled_from(["tok_visa", "tok_visa", "tok_declined", "tok_unheard_of"])
FOLLOWING = st.sampled_from([AttemptKind.CAPTURE, AttemptKind.VOID, AttemptKind.REFUND])


@dataclass
class Sums:
    """What the approvals alone say about one charge: a model that shares no code with the books."""

    authorized: int = 0
    captured: int = 0
    voided: bool = False
    refunded: int = 0


class BooksMachine(RuleBasedStateMachine):
    """Perform, repeat and refuse at random, and check the charges against the answers that were given."""

    knows_all = True
    references = Bundle("references")
    performed = Bundle("performed")
    unused = Bundle("unused")

    def __init__(self) -> None:
        super().__init__()
        self.shelf = MemoryShelf(entries_max=100_000)
        self.books = AcquirerBooks(self.shelf, knows_all=self.knows_all)
        self.sums: dict[str, Sums] = {}
        self.answers: dict[str, Definite | Unknown | Refused] = {}
        self.count = 0

    def next_id(self) -> str:
        self.count += 1
        return f"att_{self.count}"

    def perform(self, request: ProcessorRequest) -> Definite | Unknown:
        outcome = self.books.perform(request)
        self.answers[request.attempt_id] = outcome
        assert isinstance(outcome, Approved | Declined | Failed)
        assert not (isinstance(outcome, Failed) and outcome.retryable)
        return outcome

    @rule(target=references, amount=AMOUNTS_MINOR, currency=CURRENCIES, token=TOKENS, capture=st.booleans())
    def authorize(self, amount: int, currency: str, token: str, capture: bool) -> object:
        request = ProcessorRequest(self.next_id(), AttemptKind.AUTHORIZE, amount, currency, token, capture, None)
        outcome = self.perform(request)
        if not isinstance(outcome, Approved):
            return multiple()
        assert amount > 0
        assert token == "tok_visa"
        self.sums[outcome.reference] = Sums(amount, captured=amount if capture else 0)
        return outcome.reference

    @rule(target=performed, reference=references, kind=FOLLOWING, amount=AMOUNTS_MINOR, currency=CURRENCIES)
    def follow(self, reference: str, kind: AttemptKind, amount: int, currency: str) -> ProcessorRequest:
        request = ProcessorRequest(self.next_id(), kind, amount, currency, "tok_visa", False, reference)
        if isinstance(self.perform(request), Approved):
            self.approve(self.sums[reference], kind, amount)
        return request

    def approve(self, sums: Sums, kind: AttemptKind, amount: int) -> None:
        match kind:
            case AttemptKind.CAPTURE:
                assert not sums.voided
                assert not sums.captured
                sums.captured = amount
            case AttemptKind.VOID:
                assert not sums.voided
                assert not sums.captured
                sums.voided = True
            case AttemptKind.REFUND:
                sums.refunded += amount

    @rule(request=performed)
    def repeat(self, request: ProcessorRequest) -> None:
        assert self.books.perform(request) == self.answers[request.attempt_id]

    @rule(request=performed)
    def change_and_repeat(self, request: ProcessorRequest) -> None:
        other = ProcessorRequest(request.attempt_id, request.kind, 61, "USD", "tok_visa", True, None)
        assert self.books.perform(other) == MISMATCH

    @rule(request=performed)
    def refuse_too_late(self, request: ProcessorRequest) -> None:
        assert self.books.refuse(request.attempt_id) == self.answers[request.attempt_id]

    @rule(target=unused)
    def refuse_unseen(self) -> str:
        attempt_id = self.next_id()
        assert self.books.refuse(attempt_id) == Refused()
        return attempt_id

    @rule(attempt_id=consumes(unused), amount=AMOUNTS_MINOR)
    def perform_refused(self, attempt_id: str, amount: int) -> None:
        request = ProcessorRequest(attempt_id, AttemptKind.AUTHORIZE, amount, "USD", "tok_visa", True, None)
        assert self.books.perform(request) == Failed("refused", retryable=False)

    @invariant()
    def charges_agree_with_the_answers(self) -> None:
        for reference, sums in self.sums.items():
            charge = self.shelf.charge(reference)
            assert charge is not None
            assert (charge.authorized_minor, charge.captured_minor) == (sums.authorized, sums.captured)
            assert charge.refunded_minor == sums.refunded <= sums.captured
            if sums.voided or sums.captured:
                assert charge.captured_minor + charge.released_minor == charge.authorized_minor

    @invariant()
    def entries_add_up_to_the_charges(self) -> None:
        moved = dict.fromkeys(AttemptKind, 0)
        for attempt_id in self.answers:
            entry = self.books.find(attempt_id)
            assert entry is not None
            if isinstance(entry.result, Approved):
                assert entry.request is not None
                moved[entry.request.kind] += entry.moved_minor
            else:
                assert entry.moved_minor == 0
        assert moved[AttemptKind.AUTHORIZE] == sum(sums.authorized for sums in self.sums.values())
        assert moved[AttemptKind.REFUND] == sum(sums.refunded for sums in self.sums.values())


TestBooks = BooksMachine.TestCase
TestBooks.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
