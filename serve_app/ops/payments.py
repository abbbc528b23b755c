"""A payment of any merchant for operators: what it is and all that happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from actors.pool.database import Database
from serve_app.attempts.intent import Owner
from serve_app.domain.errors import NotFound
from serve_app.domain.ids import Prefix, public_id
from serve_app.http.money_answers import owner_of
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import path_id
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.payments.schemas import TimelineItem
from serve_app.payments.service import PaymentService
from serve_app.storage.statements import load_statements


class OperatorPayment(BaseModel):
    """A payment as operators see it: nothing of who paid, or of what for."""

    id: str
    merchant: str
    livemode: bool
    object: Literal["operator_payment"]
    data: list[TimelineItem]


class OperatorPaymentEndpoints:
    """Shows payments."""

    def __init__(self, payments: PaymentService, database: Database) -> None:
        self._payments = payments
        self._database = database
        self._find = load_statements("serve_app.ops")["find_payment_owner"]

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/ops/api/payments/{payment_id}", self.show, "See all that happened to a payment of anybody",
                "Operations", Scope.ADMIN.value, answers={200: OperatorPayment}, problems=("not_found", "overloaded"),
            ),
        )  # fmt: skip

    async def show(self, call: Call) -> Response:
        """Show one."""
        payment_id = path_id(call, "payment_id", Prefix.PAYMENT)
        row = await self._database.fetchrow(self._find, payment_id)
        if row is None:
            raise NotFound("payment", public_id(Prefix.PAYMENT, payment_id))
        owner = Owner(row["merchant_id"], row["livemode"], owner_of(call).requester)
        items: list[dict[str, Any]] = await self._payments.timeline(owner, payment_id)
        shown = {
            "id": public_id(Prefix.PAYMENT, payment_id),
            "merchant": public_id(Prefix.MERCHANT, owner.merchant_id),
            "livemode": owner.livemode,
            "object": "operator_payment",
            "data": items,
        }
        return json_response(200, shown)
