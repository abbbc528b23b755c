"""The feed of events over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.admission.work import Work
from serve_app.domain.ids import Prefix, parse_id
from serve_app.http.money_answers import owner_of
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import path_id
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import invalid
from serve_app.snapshots import encode_page
from serve_app.webhooks.schemas import EventPage, EventView, ListEvents
from serve_app.webhooks.service import WebhookService

_PATH = "/v1/events"
_TAG = "Webhooks"


class EventEndpoints:
    """Translates between HTTP and the webhook service, for events."""

    def __init__(self, webhooks: WebhookService) -> None:
        self._webhooks = webhooks

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this part of the slice."""
        scope = Scope.WEBHOOKS.value
        return (
            Operation(
                "GET", _PATH, self.page, "Read what happened, in order and without gaps", _TAG, scope, query=ListEvents,
                answers={200: EventPage}, problems=("not_found",), work=Work.LISTING,
            ),
            Operation(
                "GET", f"{_PATH}/{{event_id}}", self.get, "Read an event", _TAG, scope, answers={200: EventView},
                problems=("not_found",), work=Work.READING,
            ),
        )  # fmt: skip

    async def page(self, call: Call) -> Response:
        """Read what happened."""
        query = call.query_as(ListEvents)
        after = parse_id(Prefix.EVENT, query.after) if query.after is not None else None
        if query.after is not None and after is None:
            raise invalid([("after", "must be the id of an event, such as evt_...")])
        wanted = query.type.value if query.type else None
        found = await self._webhooks.events(owner_of(call), after=after, type=wanted, limit=query.limit + 1)
        shown = [event.encode().encode() for event in found[: query.limit]]
        return json_response(200, encode_page(shown, found[query.limit :]))

    async def get(self, call: Call) -> Response:
        """Read an event."""
        event = await self._webhooks.event(owner_of(call), path_id(call, "event_id", Prefix.EVENT))
        return json_response(200, event.encode().encode())
