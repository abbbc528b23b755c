"""Refunds over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from serve_app.admission.work import Work
from serve_app.domain.attempt import AttemptState
from serve_app.domain.ids import Prefix
from serve_app.http.money_answers import money_response, owner_of
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import claim_of, page_start, path_id
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.refunds.schemas import CreateRefund, ListRefunds, RefundPage, RefundView
from serve_app.refunds.service import RefundService

_OF_PAYMENT = "/v1/payments/{payment_id}/refunds"
_TAG = "Refunds"


class RefundEndpoints:
    """Translates between HTTP and the refund service."""

    def __init__(self, refunds: RefundService) -> None:
        self._refunds = refunds

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        read, write = Scope.PAYMENTS_READ.value, Scope.PAYMENTS_WRITE.value
        return (
            Operation(
                "POST", _OF_PAYMENT, self.create, "Refund a payment, whole or in part", _TAG, write,
                request=CreateRefund, answers={201: RefundView, 202: RefundView}, idempotent=True,
                sensitive=True, work=Work.FINISHING, calls_processor=True,
                problems=(
                    "not_found", "conflict", "idempotency_in_progress", "idempotency_mismatch", "processor_failed",
                    "overloaded",
                ),
                example={"amount": 500, "reason": "Returned"},
            ),
            Operation(
                "GET", _OF_PAYMENT, self.page, "List a payment's refunds", _TAG, read, query=ListRefunds,
                answers={200: RefundPage}, problems=("not_found",), work=Work.LISTING,
            ),
            Operation(
                "GET", "/v1/refunds/{refund_id}", self.get, "Read a refund", _TAG, read,
                answers={200: RefundView}, problems=("not_found",), work=Work.READING,
            ),
        )  # fmt: skip

    async def create(self, call: Call) -> Response:
        """Refund a payment."""
        body, owner = call.body_as(CreateRefund), owner_of(call)
        answer = await self._refunds.create(owner, _payment_id(call), body.amount, body.reason, claim_of(call))
        if answer.state is AttemptState.SUCCEEDED or answer.state.is_open:
            return money_response(answer, 201, answer.body)
        return money_response(answer, 201, await self._refunds.payment_of(owner, answer.payment_id))

    async def get(self, call: Call) -> Response:
        """Read a refund."""
        refund_id = path_id(call, "refund_id", Prefix.REFUND)
        return json_response(200, await self._refunds.get(owner_of(call), refund_id))

    async def page(self, call: Call) -> Response:
        """List a payment's refunds."""
        query = call.query_as(ListRefunds)
        before = page_start(query.starting_after, Prefix.REFUND)
        return json_response(200, await self._refunds.page(owner_of(call), _payment_id(call), before, query.limit))


def _payment_id(call: Call) -> UUID:
    return path_id(call, "payment_id", Prefix.PAYMENT)
