"""Reads a request's body: JSON, whole, within 64 KiB and within its time."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from serve_app.problems import Code, Problem

BODY_BYTES_MAX = 64 * 1024
READ_WITHIN_S = 30.0
_JSON = b"application/json"
_TOO_LARGE = f"The body may have at most {BODY_BYTES_MAX} bytes."


async def read_body(scope: Scope, receive: Receive, within_s: float = READ_WITHIN_S) -> bytes:
    """Return the body; empty where there is none.

    Raises:
        Problem: it is too large (413), not declared as JSON (415), too slow (504), or broke off (400).
    """
    media_type = _check_headers(scope)
    try:
        async with asyncio.timeout(within_s):
            body = await _read(receive)
    except TimeoutError:
        raise Problem(Code.DEADLINE_EXCEEDED, "The body took too long.", retry_after_s=1) from None
    if body and media_type != _JSON:
        raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json in UTF-8.")
    return body


async def _read(receive: Receive) -> bytes:
    """Return the whole body. A client that goes away in the middle of it has sent none: it may have meant anything."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(Code.INVALID_REQUEST, "The body broke off.")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise Problem(Code.PAYLOAD_TOO_LARGE, _TOO_LARGE)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _check_headers(scope: Scope) -> bytes | None:
    """Return the declared media type in lower case; refuse a length that is too large before a byte is read."""
    media_type: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value if value == _JSON else _media_type(value)
        elif name == b"content-length" and (not value.isdigit() or int(value[:20]) > BODY_BYTES_MAX):
            raise Problem(Code.PAYLOAD_TOO_LARGE, _TOO_LARGE)
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            raise Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send the body without a content encoding.")
    return media_type


def _media_type(value: bytes) -> bytes | None:
    """Return the type without its parameters; None for a charset that is not the one of JSON."""
    media_type, _, parameters = value.lower().partition(b";")
    for parameter in parameters.split(b";"):
        name, _, charset = parameter.partition(b"=")
        if name.strip() == b"charset" and charset.strip(b' "') not in (b"utf-8", b"utf8"):
            return None
    return media_type.strip()
