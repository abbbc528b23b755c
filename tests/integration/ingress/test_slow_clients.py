"""A slow, silent or half-open client is sent away, and a replica never hears of it."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.ingress.client import exchange, read_reply
from tests.integration.ingress.conftest import Ingress
from tests.integration.ingress.replica import Replica

# The bounds of these tests are one second; a sluggish machine gets the rest.
ENDS_WITHIN_S = 10


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.05)


async def _end_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, piece: bytes = b"") -> bytes:
    """Read until the ingress closes, dripping `piece` meanwhile."""
    drip = asyncio.create_task(_drip(writer, piece)) if piece else None
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        if drip is not None:
            drip.cancel()
            await asyncio.gather(drip, return_exceptions=True)
        writer.close()


async def test_a_header_drip_ends(ingress: Ingress, replica: Replica) -> None:
    """A request head that comes a byte at a time is cut off with 408."""
    await ingress.start()
    reader, writer = await ingress.connect()
    writer.write(b"POST /echo HTTP/1.1\r\nHost: pay\r\nX-Slow: ")
    assert b" 408 " in await _end_of(reader, writer, b"a")
    assert replica.paths == []


@pytest.mark.parametrize(("length", "at_once"), [(10_000, 0), (65_536, 0), (60_000, 20_000), (65_536, 65_000)])
async def test_a_body_drip_reaches_no_replica(ingress: Ingress, replica: Replica, length: int, at_once: int) -> None:
    """A body of which any part comes a byte at a time is a 408 problem, and no replica was troubled."""
    await ingress.start()
    reader, writer = await ingress.connect()
    writer.write(b"POST /echo HTTP/1.1\r\nHost: pay\r\nContent-Length: %d\r\n\r\n" % length + b"a" * at_once)
    drip = asyncio.create_task(_drip(writer, b"a"))
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            reply = await read_reply(reader)
    finally:
        drip.cancel()
        await asyncio.gather(drip, return_exceptions=True)
        writer.close()
    assert (reply.status, reply.json()["code"]) == (408, "invalid_request")
    assert replica.paths == []


@pytest.mark.parametrize("framing", [b"Content-Length: 10000000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_is_too_large_reaches_no_replica(ingress: Ingress, replica: Replica, framing: bytes) -> None:
    """A body above 64 KiB is a 413 problem, and dripping the rest of it keeps no connection open."""
    await ingress.start()
    reader, writer = await ingress.connect()
    writer.write(b"POST /echo HTTP/1.1\r\nHost: pay\r\n" + framing + b"\r\n\r\n30d40\r\n" + b"a" * 150_000)
    answer = await _end_of(reader, writer, b"a")
    assert b" 413 " in answer
    assert b'"payload_too_large"' in answer
    assert replica.paths == []


async def test_a_head_that_is_too_long_reaches_no_replica(ingress: Ingress, replica: Replica) -> None:
    """A head above 16 KiB is a 431 problem."""
    await ingress.start()
    reply = await ingress.request(headers="X-Long: " + "a" * 17_000 + "\r\n")
    assert (reply.status, reply.json()["code"]) == (431, "invalid_request")
    assert replica.paths == []


async def test_a_silent_connection_ends(ingress: Ingress) -> None:
    """A connection on which nothing is ever sent is closed."""
    await ingress.start()
    await _end_of(*await ingress.connect())


async def test_an_idle_connection_ends(ingress: Ingress) -> None:
    """A kept connection is closed when no further request comes."""
    await ingress.start()
    reader, writer = await ingress.connect()
    await exchange(reader, writer)
    assert await _end_of(reader, writer) == b""


async def test_a_half_open_client_ends(ingress: Ingress) -> None:
    """A client that vanishes in the middle of a long body, without a word, is let go of after the client
    timeout."""
    await ingress.start(ingress.policy(client_timeout_s=1, server_timeout_s=5))
    reader, writer = await ingress.connect()
    # More than the ingress buffers, so that it has begun to pass the body on.
    writer.write(b"POST /echo HTTP/1.1\r\nHost: pay\r\nContent-Length: 200000\r\n\r\n" + b"a" * 150_000)
    began = time.monotonic()
    await _end_of(reader, writer)
    assert time.monotonic() - began < ENDS_WITHIN_S


async def test_a_replica_hears_of_a_client_that_hangs_up(ingress: Ingress) -> None:
    """The connection to the replica is closed, so that what waits there for its turn can be called off."""
    await ingress.start()
    _, writer = await ingress.connect()
    writer.write(b"POST /hang HTTP/1.1\r\nHost: pay\r\nContent-Length: 0\r\n\r\n")
    async with asyncio.timeout(ENDS_WITHIN_S):
        await ingress.replica.hanging.wait()
        writer.close()
        await ingress.replica.hung_up.wait()


async def test_a_body_of_the_largest_size_passes(ingress: Ingress) -> None:
    """64 KiB arrive whole, behind a head of nearly the largest size."""
    await ingress.start()
    reply = await ingress.request(headers="X-Long: " + "a" * 16_000 + "\r\n", body=b"a" * 65_536)
    assert reply.json()["body_bytes"] == 65_536
