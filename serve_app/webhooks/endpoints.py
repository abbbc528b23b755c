"""Webhook endpoints over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from serve_app.admission.work import Work
from serve_app.domain.ids import Prefix, public_id
from serve_app.http.money_answers import owner_of
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import path_id
from serve_app.http.response import Response, empty_response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import invalid
from serve_app.snapshots import rfc3339
from serve_app.webhooks.repository import EndpointChange
from serve_app.webhooks.schemas import (
    CreateEndpoint,
    DeliveryView,
    EndpointPage,
    EndpointView,
    EndpointWithSecret,
    PingEndpoint,
    Redeliver,
    RedeliveryView,
    RotateSecret,
    UpdateEndpoint,
)
from serve_app.webhooks.service import WebhookService
from serve_app.webhooks.urls import UrlRefused
from serve_app.webhooks.views import delivery_view, endpoint_view

REDELIVER_SINCE_MAX = timedelta(days=30)
_PATH = "/v1/webhook_endpoints"
_ONE = "/v1/webhook_endpoints/{endpoint_id}"
_TAG = "Webhooks"
_EXAMPLE = {"url": "https://example.com/webhooks", "events": ["payment.captured", "refund.succeeded"]}


class WebhookEndpoints:
    """Translates between HTTP and the webhook service, for endpoints."""

    def __init__(self, webhooks: WebhookService) -> None:
        self._webhooks = webhooks

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this part of the slice."""
        scope = Scope.WEBHOOKS.value
        return (
            Operation(
                "POST", _PATH, self.create, "Register an endpoint for webhooks", _TAG, scope, request=CreateEndpoint,
                answers={201: EndpointWithSecret}, problems=("conflict",), example=_EXAMPLE, work=Work.CREATING,
            ),
            Operation(
                "GET", _PATH, self.page, "List endpoints", _TAG, scope, answers={200: EndpointPage}, work=Work.LISTING,
            ),
            Operation(
                "GET", _ONE, self.get, "Read an endpoint", _TAG, scope, answers={200: EndpointView},
                problems=("not_found",), work=Work.READING,
            ),
            Operation(
                "PATCH", _ONE, self.update, "Change, enable or disable an endpoint", _TAG, scope,
                request=UpdateEndpoint, answers={200: EndpointView}, problems=("not_found",),
                example={"enabled": True}, work=Work.CREATING,
            ),
            Operation(
                "DELETE", _ONE, self.delete, "Delete an endpoint", _TAG, scope, answers={204: None},
                problems=("not_found",), work=Work.CREATING,
            ),
            Operation(
                "POST", f"{_ONE}/rotate_secret", self.rotate_secret, "Give an endpoint a new secret", _TAG, scope,
                request=RotateSecret, answers={200: EndpointWithSecret}, problems=("not_found",),
                example={"overlap_s": 86_400}, work=Work.CREATING,
            ),
            Operation(
                "POST", f"{_ONE}/ping", self.ping, "Send a test event to an endpoint", _TAG, scope,
                request=PingEndpoint, answers={201: DeliveryView}, problems=("not_found", "conflict"), example={},
                work=Work.CREATING,
            ),
            Operation(
                "POST", f"{_ONE}/redeliver", self.redeliver, "Deliver again what an endpoint has missed", _TAG, scope,
                request=Redeliver, answers={200: RedeliveryView}, problems=("not_found", "conflict"),
                example={"since": "2026-01-31T09:30:00Z"}, work=Work.CREATING,
            ),
        )  # fmt: skip

    async def create(self, call: Call) -> Response:
        """Register an endpoint."""
        body = call.body_as(CreateEndpoint)
        try:
            endpoint, secret = await self._webhooks.create(owner_of(call), body.url, body.events, body.description)
        except UrlRefused as refused:
            raise invalid([("url", str(refused))]) from None
        return json_response(201, {**endpoint_view(endpoint), "secret": secret})

    async def page(self, call: Call) -> Response:
        """List endpoints."""
        endpoints = await self._webhooks.all(owner_of(call))
        return json_response(200, {"data": [endpoint_view(each) for each in endpoints], "has_more": False})

    async def get(self, call: Call) -> Response:
        """Read an endpoint."""
        return json_response(200, endpoint_view(await self._webhooks.get(owner_of(call), _endpoint_id(call))))

    async def update(self, call: Call) -> Response:
        """Change, enable or disable an endpoint."""
        body = call.body_as(UpdateEndpoint)
        describes = "description" in body.model_fields_set
        change = EndpointChange(body.url, body.events, describes, body.description, body.enabled)
        try:
            endpoint = await self._webhooks.change(owner_of(call), _endpoint_id(call), change)
        except UrlRefused as refused:
            raise invalid([("url", str(refused))]) from None
        return json_response(200, endpoint_view(endpoint))

    async def delete(self, call: Call) -> Response:
        """Delete an endpoint."""
        await self._webhooks.delete(owner_of(call), _endpoint_id(call))
        return empty_response()

    async def rotate_secret(self, call: Call) -> Response:
        """Give an endpoint a new secret."""
        overlap_s = call.body_as(RotateSecret).overlap_s
        endpoint, secret = await self._webhooks.rotate_secret(owner_of(call), _endpoint_id(call), overlap_s)
        return json_response(200, {**endpoint_view(endpoint), "secret": secret})

    async def ping(self, call: Call) -> Response:
        """Send a test event to an endpoint."""
        return json_response(201, delivery_view(await self._webhooks.ping(owner_of(call), _endpoint_id(call))))

    async def redeliver(self, call: Call) -> Response:
        """Deliver again what an endpoint has missed."""
        body, endpoint_id = call.body_as(Redeliver), _endpoint_id(call)
        # First: who has no such endpoint is told so, whatever else is wrong.
        await self._webhooks.get(owner_of(call), endpoint_id)
        since = body.since.astimezone(UTC)
        if since < datetime.now(UTC) - REDELIVER_SINCE_MAX:
            raise invalid([("since", f"must be at most {REDELIVER_SINCE_MAX.days} days ago")])
        until = await self._webhooks.redeliver(
            owner_of(call), endpoint_id, since, include_succeeded=body.include_succeeded
        )
        answer = {
            "object": "webhook_redelivery",
            "endpoint": public_id(Prefix.WEBHOOK_ENDPOINT, endpoint_id),
            "since": rfc3339(since),
            "until": rfc3339(until),
            "include_succeeded": body.include_succeeded,
        }
        return json_response(200, answer)


def _endpoint_id(call: Call) -> UUID:
    return path_id(call, "endpoint_id", Prefix.WEBHOOK_ENDPOINT)
