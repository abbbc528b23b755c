"""The delivery log over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from serve_app.admission.work import Work
from serve_app.domain.ids import Prefix, parse_id
from serve_app.http.money_answers import owner_of
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import page_start, path_id
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import invalid
from serve_app.webhooks.deliveries import DeliveryPageRequest
from serve_app.webhooks.schemas import DeliveryDetail, DeliveryPage, DeliveryView, ListDeliveries, RetryDelivery
from serve_app.webhooks.service import WebhookService
from serve_app.webhooks.views import delivery_detail, delivery_view

_PATH = "/v1/webhook_deliveries"
_ONE = "/v1/webhook_deliveries/{delivery_id}"
_TAG = "Webhooks"


class DeliveryEndpoints:
    """Translates between HTTP and the webhook service, for deliveries."""

    def __init__(self, webhooks: WebhookService) -> None:
        self._webhooks = webhooks

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this part of the slice."""
        scope = Scope.WEBHOOKS.value
        return (
            Operation(
                "GET", _PATH, self.page, "See what was delivered", _TAG, scope, query=ListDeliveries,
                answers={200: DeliveryPage}, work=Work.LISTING,
            ),
            Operation(
                "GET", _ONE, self.get, "See every try of a delivery", _TAG, scope, answers={200: DeliveryDetail},
                problems=("not_found",), work=Work.READING,
            ),
            Operation(
                "POST", f"{_ONE}/retry", self.retry, "Deliver an event again, now", _TAG, scope,
                request=RetryDelivery, answers={200: DeliveryView}, problems=("not_found", "conflict"), example={},
                work=Work.CREATING,
            ),
        )  # fmt: skip

    async def page(self, call: Call) -> Response:
        """See what was delivered."""
        query = call.query_as(ListDeliveries)
        request = DeliveryPageRequest(
            limit=query.limit + 1,
            before=page_start(query.starting_after, Prefix.WEBHOOK_DELIVERY),
            endpoint_id=_query_id("endpoint", query.endpoint, Prefix.WEBHOOK_ENDPOINT),
            event_id=_query_id("event", query.event, Prefix.EVENT),
            status=query.status,
        )
        found = await self._webhooks.deliveries(owner_of(call), request)
        shown = [delivery_view(each) for each in found[: query.limit]]
        return json_response(200, {"data": shown, "has_more": len(found) > query.limit})

    async def get(self, call: Call) -> Response:
        """See every try of a delivery."""
        return json_response(200, delivery_detail(*await self._webhooks.delivery(owner_of(call), _delivery_id(call))))

    async def retry(self, call: Call) -> Response:
        """Deliver an event again, now."""
        return json_response(200, delivery_view(await self._webhooks.retry(owner_of(call), _delivery_id(call))))


def _delivery_id(call: Call) -> UUID:
    return path_id(call, "delivery_id", Prefix.WEBHOOK_DELIVERY)


def _query_id(name: str, text: str | None, prefix: Prefix) -> UUID | None:
    if text is None:
        return None
    found = parse_id(prefix, text)
    if found is None:
        raise invalid([(name, f"must be an id, such as {prefix.value}_...")])
    return found
