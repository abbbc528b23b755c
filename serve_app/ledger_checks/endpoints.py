"""The check of the ledger for operators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.domain.ids import Prefix, public_id
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.ledger_checks.check import LedgerCheck
from serve_app.merchants.secrets import Scope


class ListDiscrepancies(BaseModel):
    """How many to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=20, ge=1, le=100)


class Discrepancy(BaseModel):
    """A payment whose postings say something else. Amounts are minor units; null where there is no such payment."""

    merchant: str
    payment: str
    livemode: bool | None
    currency: str | None
    payment_captured: int | None
    payment_refunded: int | None
    ledger_captured: int
    ledger_refunded: int
    other_currencies: Annotated[int, Field(description="Postings in another currency than the payment's.")]
    found_at: datetime
    checked_at: datetime


class LedgerStanding(BaseModel):
    """How far the check has come, and what it found that is not resolved, longest known first."""

    checked_at: Annotated[datetime, Field(description="When the check last went on.")]
    transactions_behind: Annotated[int, Field(description="Transactions, of whatever kind, since then.")]
    data: list[Discrepancy]
    has_more: bool


class LedgerEndpoints:
    """Shows what the check has found."""

    def __init__(self, check: LedgerCheck) -> None:
        self._check = check

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/ops/api/ledger", self.show, "See payments that disagree with the ledger", "Operations",
                Scope.ADMIN.value, query=ListDiscrepancies, answers={200: LedgerStanding},
            ),
        )  # fmt: skip

    async def show(self, call: Call) -> Response:
        """Show the discrepancies."""
        limit = call.query_as(ListDiscrepancies).limit
        standing = await self._check.standing()
        rows = await self._check.open_discrepancies(limit + 1)
        shown = {
            "checked_at": standing.moved_at,
            "transactions_behind": max(0, standing.horizon - standing.position),
            "data": [_shown(row) for row in rows[:limit]],
            "has_more": len(rows) > limit,
        }
        return json_response(200, shown)


def _shown(row: Any) -> dict[str, Any]:
    return {
        "merchant": public_id(Prefix.MERCHANT, row["merchant_id"]),
        "payment": public_id(Prefix.PAYMENT, row["payment_id"]),
        **{name: row[name] for name in Discrepancy.model_fields if name not in ("merchant", "payment")},
    }
