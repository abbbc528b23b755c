"""A body is read whole, within its size and its time, and only if it is JSON."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from serve_app.http.body import BODY_BYTES_MAX, read_body
from serve_app.problems import Code, Problem
from tests.unit.http.exchange import JSON, Headers, body_messages, http_scope, receive_of


async def _read(*parts: bytes, headers: Headers = (JSON,)) -> bytes:
    return await read_body(http_scope("POST", "/", headers), receive_of(*body_messages(*parts)))


@pytest.mark.parametrize("parts", [(b"{}",), (b"{", b"}"), (b"", b"{}", b"")])
async def test_the_parts_are_joined(parts: tuple[bytes, ...]) -> None:
    """In their order."""
    assert await _read(*parts) == b"{}"


async def test_the_largest_body_is_taken() -> None:
    """Exactly 64 KiB."""
    assert len(await _read(b"x" * BODY_BYTES_MAX)) == BODY_BYTES_MAX


@pytest.mark.parametrize("parts", [(b"x" * (BODY_BYTES_MAX + 1),), (b"x" * BODY_BYTES_MAX, b"x")])
async def test_a_larger_one_is_refused(parts: tuple[bytes, ...]) -> None:
    """413, in one part or in several."""
    with pytest.raises(Problem) as caught:
        await _read(*parts)
    assert caught.value.code is Code.PAYLOAD_TOO_LARGE


@pytest.mark.parametrize("length", [b"65537", b"9" * 5000, b"-1", b"many"])
async def test_a_declared_length_is_refused_before_a_byte_is_read(length: bytes) -> None:
    """413; nothing was asked of the client."""

    async def never() -> Message:
        raise AssertionError("the body was read")

    with pytest.raises(Problem) as caught:
        await read_body(http_scope("POST", "/", [JSON, (b"content-length", length)]), never)
    assert caught.value.code is Code.PAYLOAD_TOO_LARGE


@pytest.mark.parametrize(
    "content_type", [b"application/json; charset=UTF-8", b"Application/JSON", b'application/json;charset="utf-8"']
)
async def test_json_is_known_in_each_spelling(content_type: bytes) -> None:
    """Media types are compared without case and without parameters that say nothing else."""
    assert await _read(b"{}", headers=[(b"content-type", content_type)]) == b"{}"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"content-type", b"application/json; charset=utf-16")],
        [(b"content-type", b"")],
        [JSON, (b"content-encoding", b"gzip")],
    ],
)
async def test_another_type_is_refused(headers: Headers) -> None:
    """415, a missing one too."""
    with pytest.raises(Problem) as caught:
        await _read(b"{}", headers=headers)
    assert caught.value.code is Code.UNSUPPORTED_MEDIA_TYPE


async def test_no_body_needs_no_type() -> None:
    """An empty body is empty whatever it is called."""
    assert await _read(headers=[]) == b""


@pytest.mark.parametrize("messages", [(), ({"type": "http.request", "body": b"{", "more_body": True},)])
async def test_a_client_that_goes_away_has_sent_nothing(messages: tuple[Message, ...]) -> None:
    """Half a body is never taken for a whole one, nor none for an empty one."""
    with pytest.raises(Problem) as caught:
        await read_body(http_scope("POST", "/", [JSON]), receive_of(*messages))
    assert caught.value.code is Code.INVALID_REQUEST


async def test_a_body_that_does_not_come_is_given_up() -> None:
    """504, and the same request may be tried again."""

    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Problem) as caught:
        await read_body(http_scope("POST", "/", [JSON]), silent, within_s=0)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert caught.value.retry_after_s == 1
