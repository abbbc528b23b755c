"""What the connector concludes from each fault on the way, against a server that follows a script."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import (
    Approved,
    Failed,
    LookupFailed,
    Outcome,
    ProcessorRequest,
    Unknown,
)
from serve_app.processors.wire import Answer, encode_answer
from tests.support.stream_server import Serve, stream_server

MakeRequest = Callable[..., ProcessorRequest]
TIMEOUT_S = 5.0
NOT_DONE = Failed("processor_error", retryable=True)


def answer(answer: Answer, status: int = 200) -> Serve:
    return reply(json.dumps(encode_answer(answer)).encode(), status)


def reply(body: bytes, status: int) -> Serve:
    async def scene(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return scene


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close after reading the request, without a byte of answer."""


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
    writer.transport.abort()


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"status": "app')
    await writer.drain()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
    await reader.read()


@asynccontextmanager
async def stage(*scenes: Serve) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve one scene a connection, in order; yields the URL and the bodies received."""
    left, bodies = list(scenes), list[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:")
        bodies.append(await reader.readexactly(length))
        await left.pop(0)(reader, writer)

    async with stream_server(serve) as port:
        yield f"http://127.0.0.1:{port}", bodies


async def perform(url: str, request: ProcessorRequest, *, timeout_s: float = TIMEOUT_S) -> Outcome:
    async def no_wait(pause_s: float) -> None:  # noqa: ARG001
        await asyncio.sleep(0)

    processor = HttpProcessor(url, sleep=no_wait)
    try:
        return await processor.perform(request, timeout_s=timeout_s)
    finally:
        await processor.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def test_refused_connection_was_surely_not_sent(make_request: MakeRequest) -> None:
    """Where nobody listens nothing was done, and a retry is safe."""
    url = f"http://127.0.0.1:{closed_port()}"
    assert await perform(url, make_request()) == Failed("processor_unreachable", retryable=True)


async def test_passed_deadline_is_not_sent(make_request: MakeRequest) -> None:
    """A call without time left does not leave."""
    async with stage() as (url, bodies):
        outcome = await perform(url, make_request(), timeout_s=0)
    assert outcome == Failed("deadline_passed", retryable=True)
    assert bodies == []


@pytest.mark.parametrize("scene", [hang_up, reset, break_off, reply(b"<html>", 500), reply(b"", 200)])
async def test_broken_call_is_sent_again_under_the_same_attempt(make_request: MakeRequest, scene: Serve) -> None:
    """A call that broke or was answered by nobody we know is repeated as it was, and the answer counts."""
    async with stage(scene, answer(Approved("auth_x"))) as (url, bodies):
        assert await perform(url, make_request()) == Approved("auth_x")
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    ("scene", "reason"),
    [(hang_up, "connection_lost"), (reset, "connection_lost"), (reply(b"<html>", 502), "http_502")],
)
async def test_call_that_keeps_breaking_is_unknown(make_request: MakeRequest, scene: Serve, reason: str) -> None:
    """After its last try a call that may have arrived is unknown."""
    async with stage(scene, scene, scene) as (url, bodies):
        assert await perform(url, make_request()) == Unknown(reason)
    assert len(bodies) == 3


async def test_silence_is_unknown_at_the_timeout(make_request: MakeRequest) -> None:
    """A call that nobody answers is unknown when its time is up, and is not sent again."""
    async with stage(say_nothing) as (url, bodies):
        assert await perform(url, make_request(), timeout_s=0.2) == Unknown("timeout")
    assert len(bodies) == 1


async def test_body_that_says_not_done_is_believed(make_request: MakeRequest) -> None:
    """A 503 whose body says that nothing was done is a failure that is safe to retry."""
    async with stage(answer(NOT_DONE, 503)) as (url, _):
        assert await perform(url, make_request()) == NOT_DONE


async def test_not_done_says_nothing_about_an_earlier_try(make_request: MakeRequest) -> None:
    """After a try that may have arrived, a later one that was not carried out proves nothing."""
    async with stage(hang_up, answer(NOT_DONE, 503), answer(NOT_DONE, 503)) as (url, _):
        assert await perform(url, make_request()) == Unknown("connection_lost")


async def test_recorded_rejection_settles_an_earlier_try(make_request: MakeRequest) -> None:
    """After a try that may have arrived, a recorded rejection is final."""
    rejected = Failed("refused", retryable=False)
    async with stage(hang_up, answer(rejected)) as (url, _):
        assert await perform(url, make_request()) == rejected


async def test_questions_that_fail_conclude_nothing(make_request: MakeRequest) -> None:
    """A lookup or refusal without one of our answers concludes nothing, a bare 404 included."""
    processor = HttpProcessor(f"http://127.0.0.1:{closed_port()}")
    assert await processor.lookup(make_request(), timeout_s=1) == LookupFailed("processor_unreachable")
    assert await processor.refuse(make_request(), timeout_s=1) == LookupFailed("processor_unreachable")
    await processor.close()
    async with stage(reply(b"not here", 404), answer(NOT_DONE, 503)) as (url, _):
        processor = HttpProcessor(url)
        assert await processor.refuse(make_request(), timeout_s=1) == LookupFailed("http_404")
        assert await processor.refuse(make_request(), timeout_s=1) == LookupFailed("unexpected_answer")
        await processor.close()


async def test_full_queue_turns_away_unsent(make_request: MakeRequest) -> None:
    """Past the pool and its queue a call is turned away at once, unsent."""
    arrived = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await say_nothing(reader, writer)

    async with stage(hold) as (url, bodies):
        processor = HttpProcessor(url, connections_max=1, queue_max=0)
        first = asyncio.create_task(processor.perform(make_request(), timeout_s=TIMEOUT_S))
        await arrived.wait()
        turned_away = await processor.perform(make_request(), timeout_s=TIMEOUT_S)
        assert turned_away == Failed("connector_overloaded", retryable=True)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await processor.close()
    assert len(bodies) == 1
