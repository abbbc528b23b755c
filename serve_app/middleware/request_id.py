"""Every request has an id: the client's, if it is fit to be logged, or a new one. It is answered in any case.

It is logged, stored and shown, so a client that puts a card number or a key of its own there gets a new one instead.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.domain.cards import contains_card_number
from serve_app.domain.ids import Prefix, new_id, public_id

_FIT = re.compile(rb"[\x21-\x7e]{1,128}\Z")
# Ids of digits alone are times and counters, and one in ten of them passes the Luhn check: only what begins as cards do
# (ISO/IEC 7812) is looked at.
_MAY_BE_A_CARD = re.compile(r"(?<![0-9])[2-6](?:[ -]?[0-9]){12}")
_SECRET = re.compile(r"sk_(?:test|live)_|whsec_")


class RequestId:
    """Puts the id into scope["request_id"] and into the X-Request-Id header of the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or public_id(Prefix.REQUEST, new_id())
        scope["request_id"] = request_id
        header = (b"x-request-id", request_id.encode("ascii"))

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        await self._app(scope, receive, send_with_id)


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return _fit(str(value, "ascii")) if _FIT.match(value) else None
    return None


def _fit(text: str) -> str | None:
    if _SECRET.search(text) or (_MAY_BE_A_CARD.search(text) and contains_card_number(text)):
        return None
    return text
