"""Every request has an id: the client's, if it is fit to be logged, or a new one. It is answered in any case."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.domain.ids import Prefix, new_id, public_id

_FIT = re.compile(rb"[\x21-\x7e]{1,128}\Z")


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
            return str(value, "ascii") if _FIT.match(value) else None
    return None
