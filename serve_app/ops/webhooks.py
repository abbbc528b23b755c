"""Webhooks of all merchants for operators: what has not arrived, and to have it sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from actors.pool.database import Database
from serve_app.attempts.intent import Owner
from serve_app.domain.errors import NotFound
from serve_app.domain.ids import Prefix, first_id_at, public_id
from serve_app.http.money_answers import owner_of
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import path_id
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.storage.statements import load_statements
from serve_app.webhooks.schemas import DeliveryView
from serve_app.webhooks.service import WebhookService
from serve_app.webhooks.views import delivery_view

_PATH = "/ops/api/webhooks"
_TAG = "Operations"
LOOKED_BACK = timedelta(days=1)
OF_EACH_MERCHANT_MAX = 50
SHOWN_MAX = 200


class UnsuccessfulDelivery(BaseModel):
    """A delivery that has not arrived."""

    id: str
    merchant: str
    endpoint: str
    event_type: str
    status: Literal["pending", "failed"]
    reason: str | None
    tries: int
    response_code: int | None
    error: str | None
    next_try_at: datetime | None
    created_at: datetime


class UnsuccessfulDeliveries(BaseModel):
    """What was to be delivered within the last day and has not arrived, newest first."""

    pending: Annotated[int, Field(description="Of those shown: that wait, for their first try or another.")]
    failed: Annotated[int, Field(description="Of those shown: that are given up.")]
    data: list[UnsuccessfulDelivery]
    has_more: bool


class ResendDelivery(BaseModel):
    """Nothing has to be said."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatorWebhookEndpoints:
    """Shows and repeats deliveries."""

    def __init__(self, webhooks: WebhookService, database: Database) -> None:
        self._webhooks = webhooks
        self._database = database
        self._sql = load_statements("serve_app.ops")

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        admin = Scope.ADMIN.value
        return (
            Operation(
                "GET", _PATH, self.show, "See the webhooks that have not arrived", _TAG, admin,
                answers={200: UnsuccessfulDeliveries}, problems=("overloaded",),
            ),
            Operation(
                "POST", f"{_PATH}/{{delivery_id}}/retry", self.retry, "Deliver an event of anybody again, now", _TAG,
                admin, request=ResendDelivery, answers={200: DeliveryView},
                problems=("not_found", "conflict", "overloaded"), example={}, sensitive=True,
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show what has not arrived."""
        since = first_id_at(datetime.now(UTC) - LOOKED_BACK)
        sql = self._sql["unsuccessful_deliveries"]
        rows = await self._database.fetch(sql, since, OF_EACH_MERCHANT_MAX, SHOWN_MAX + 1)
        shown = [_shown(row) for row in rows[:SHOWN_MAX]]
        failed = sum(each["status"] == "failed" for each in shown)
        return json_response(
            200,
            {"pending": len(shown) - failed, "failed": failed, "data": shown, "has_more": len(rows) > SHOWN_MAX},
        )

    async def retry(self, call: Call) -> Response:
        """Deliver it again; the merchant's audit trail says which operator had it done."""
        delivery_id = path_id(call, "delivery_id", Prefix.WEBHOOK_DELIVERY)
        row = await self._database.fetchrow(self._sql["find_delivery_owner"], delivery_id)
        if row is None:
            raise NotFound("delivery", public_id(Prefix.WEBHOOK_DELIVERY, delivery_id))
        owner = Owner(row["merchant_id"], row["livemode"], owner_of(call).requester)
        return json_response(200, delivery_view(await self._webhooks.retry(owner, delivery_id)))


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": public_id(Prefix.WEBHOOK_DELIVERY, row["id"]),
        "merchant": row["merchant_name"],
        "endpoint": public_id(Prefix.WEBHOOK_ENDPOINT, row["endpoint_id"]),
        **{
            name: row[name]
            for name in (
                "event_type", "status", "reason", "tries", "response_code", "error", "next_try_at", "created_at"
            )
        },
    }  # fmt: skip
