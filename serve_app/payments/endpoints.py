"""Payments over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from serve_app.admission.work import Work
from serve_app.domain.ids import Prefix
from serve_app.http.money_answers import money_response, owner_of
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import claim_of, page_start, path_id
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.payments.repository import PageRequest
from serve_app.payments.schemas import (
    CapturePayment,
    CreatePayment,
    ListPayments,
    PaymentPage,
    PaymentView,
    Timeline,
    UpdatePayment,
    VoidPayment,
)
from serve_app.payments.service import Change, NewPayment, PaymentService
from serve_app.problems import invalid
from serve_app.processors.tokens import TestCard, lookup_token

_MONEY_PROBLEMS = (
    "payment_declined",
    "idempotency_in_progress",
    "idempotency_mismatch",
    "processor_failed",
    "overloaded",
)
_PATH = "/v1/payments"
_ONE = "/v1/payments/{payment_id}"
_TAG = "Payments"
_EXAMPLE = {
    "amount": 1999,
    "currency": "USD",
    "payment_method": "tok_visa",
    "description": "Order 1001",
    "metadata": {"order": "1001"},
}


class PaymentEndpoints:
    """Translates between HTTP and the payment service."""

    def __init__(self, payments: PaymentService) -> None:
        self._payments = payments

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice, the busiest first."""
        read, write = Scope.PAYMENTS_READ.value, Scope.PAYMENTS_WRITE.value
        one = {200: PaymentView}
        return (
            Operation(
                "POST", _PATH, self.create, "Take a payment", _TAG, write, request=CreatePayment, example=_EXAMPLE,
                answers={201: PaymentView, 202: PaymentView}, problems=(*_MONEY_PROBLEMS, "processor_unavailable"),
                idempotent=True, work=Work.CREATING, calls_processor=True,
            ),
            Operation(
                "GET", _ONE, self.get, "Read a payment", _TAG, read, answers=one, problems=("not_found",),
                work=Work.READING,
            ),
            Operation(
                "GET", _PATH, self.page, "List payments", _TAG, read, query=ListPayments, answers={200: PaymentPage},
                work=Work.LISTING,
            ),
            Operation(
                "PATCH", _ONE, self.update, "Change a payment's description or metadata", _TAG, write,
                request=UpdatePayment, answers=one, problems=("not_found", "conflict"),
                example={"metadata": {"order": "7"}}, work=Work.CREATING,
            ),
            Operation(
                "POST", f"{_ONE}/capture", self.capture, "Capture an authorized payment", _TAG, write,
                request=CapturePayment, answers={200: PaymentView, 202: PaymentView}, idempotent=True,
                problems=("not_found", "conflict", *_MONEY_PROBLEMS), example={"amount": 1500},
                work=Work.FINISHING, calls_processor=True,
            ),
            Operation(
                "POST", f"{_ONE}/void", self.void, "Void an authorized payment", _TAG, write, request=VoidPayment,
                answers={200: PaymentView, 202: PaymentView}, idempotent=True,
                problems=("not_found", "conflict", *_MONEY_PROBLEMS), example={},
                work=Work.FINISHING, calls_processor=True,
            ),
            Operation(
                "GET", f"{_ONE}/timeline", self.timeline, "See all that happened to a payment", _TAG, read,
                answers={200: Timeline}, problems=("not_found",), work=Work.LISTING,
            ),
        )  # fmt: skip

    async def create(self, call: Call) -> Response:
        """Take a payment."""
        body = call.body_as(CreatePayment)
        card = _card(body.payment_method)
        wanted = NewPayment(
            amount=body.amount,
            currency=body.currency,
            token=body.payment_method,
            brand=card.brand,
            last4=card.last4,
            capture=body.capture,
            description=body.description,
            customer=body.customer,
            metadata=body.metadata,
        )
        answer = await self._payments.create(owner_of(call), wanted, claim_of(call))
        return money_response(answer, 201, answer.body)

    async def get(self, call: Call) -> Response:
        """Read a payment."""
        return json_response(200, await self._payments.get(owner_of(call), _payment_id(call)))

    async def page(self, call: Call) -> Response:
        """List payments."""
        query = call.query_as(ListPayments)
        request = PageRequest(
            limit=query.limit,
            before=page_start(query.starting_after, Prefix.PAYMENT),
            status=query.status,
            created_gte=query.created_gte,
            created_lt=query.created_lt,
        )
        return json_response(200, await self._payments.page(owner_of(call), request))

    async def update(self, call: Call) -> Response:
        """Change a payment's description or metadata."""
        body = call.body_as(UpdatePayment)
        change = Change(frozenset(body.model_fields_set), body.description, body.metadata)
        return json_response(200, await self._payments.update(owner_of(call), _payment_id(call), change))

    async def capture(self, call: Call) -> Response:
        """Capture an authorized payment."""
        amount = call.body_as(CapturePayment).amount
        answer = await self._payments.capture(owner_of(call), _payment_id(call), amount, claim_of(call))
        return money_response(answer, 200, answer.body)

    async def void(self, call: Call) -> Response:
        """Void an authorized payment."""
        answer = await self._payments.void(owner_of(call), _payment_id(call), claim_of(call))
        return money_response(answer, 200, answer.body)

    async def timeline(self, call: Call) -> Response:
        """See all that happened to a payment."""
        items = await self._payments.timeline(owner_of(call), _payment_id(call))
        return json_response(200, {"data": items, "has_more": False})


def _payment_id(call: Call) -> UUID:
    return path_id(call, "payment_id", Prefix.PAYMENT)


def _card(token: str) -> TestCard:
    card = lookup_token(token)
    if card is None:
        raise invalid([("payment_method", "is not a token that the processor knows")])
    return card
