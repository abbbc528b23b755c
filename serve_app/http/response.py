"""An answer, ready to send: no more than status, headers and bytes."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic_core import to_json
from starlette.types import Send

Headers = tuple[tuple[bytes, bytes], ...]

_NO_CONTENT = 204
_JSON = (b"content-type", b"application/json")


class Answer(Protocol):
    """What an endpoint returns."""

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send it; a HEAD request gets the headers alone."""
        ...


class Response:
    """A whole answer in memory."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers = (_JSON,)) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send the answer; a HEAD request gets the headers alone."""
        headers = [*self.headers]
        if self.status != _NO_CONTENT:  # RFC 9110, 8.6: there it must not be.
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head_only else self.body})


def json_response(status: int, content: Any, headers: Headers = ()) -> Response:
    """Return JSON: `content` encoded, or as it is where it is bytes."""
    body = content if isinstance(content, bytes) else to_json(content)
    return Response(status, body, (_JSON, *headers))


def empty_response() -> Response:
    """Return an answer that says no more than that it is done."""
    return Response(_NO_CONTENT, headers=())
