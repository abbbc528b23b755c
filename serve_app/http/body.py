"""Reads a request's body: JSON, whole, within 64 KiB and within its time."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from serve_app.problems import Code, Problem

BODY_BYTES_MAX = 64 * 1024
_READ_WITHIN_S = 30.0
_TOO_LARGE = f"The body may have at most {BODY_BYTES_MAX} bytes."


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the body; empty where there is none.

    Raises:
        Problem: it is too large (413), not declared as JSON (415), too slow (504), or broke off (400).
    """
    message = await receive()
    if not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise Problem(Code.PAYLOAD_TOO_LARGE, _TOO_LARGE)
    else:
        body = await _read_rest(message.get("body", b""), receive)
    if body:
        _check_content_type(scope)
    return body


async def _read_rest(first: bytes, receive: Receive) -> bytes:
    parts, size, more = [first], len(first), True
    try:
        async with asyncio.timeout(_READ_WITHIN_S):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(Code.INVALID_REQUEST, "The body broke off.")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > BODY_BYTES_MAX:
                    raise Problem(Code.PAYLOAD_TOO_LARGE, _TOO_LARGE)
                more = message.get("more_body", False)
    except TimeoutError:
        raise Problem(Code.DEADLINE_EXCEEDED, "The body took too long.", retry_after_s=1) from None
    return b"".join(parts)


def _check_content_type(scope: Scope) -> None:
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            if media_type == b"application/json":
                return
            break
    raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.")
