"""A client that sends its body too slowly is answered and sent away, whatever it has sent at once."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.gateway import RunningGateway

pytestmark = [pytest.mark.ray, pytest.mark.slow]

# A request may take 15 s to arrive, a connection may stay silent for 60 s.
_ENDS_WITHIN_S = 60
_HEAD = "POST /v1/payments HTTP/1.1\r\nHost: pay\r\nContent-Type: application/json\r\n"


async def _drip_to_the_end(gateway: RunningGateway, framing: str, at_once: bytes) -> bytes:
    """Send the head and `at_once`, then a byte a second; return all that came until the gateway closed."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{_HEAD}Authorization: Bearer {gateway.api_key}\r\n{framing}\r\n\r\n".encode() + at_once)

    async def drip() -> None:
        while True:
            await asyncio.sleep(1)
            writer.write(b"a")
            await writer.drain()

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(_ENDS_WITHIN_S):
            return await reader.read()
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()


async def test_a_slow_body_ends(gateway: RunningGateway) -> None:
    """A body within the limit is a 408, whether little or most of it came at once; a larger one is a 413."""
    chunk = b"%x\r\n" % 150_000 + b"a" * 150_000 + b"\r\n"
    answers = await asyncio.gather(
        _drip_to_the_end(gateway, "Content-Length: 60000", b"a"),
        _drip_to_the_end(gateway, "Content-Length: 60000", b"a" * 20_000),
        _drip_to_the_end(gateway, "Content-Length: 10000000", b"a" * 150_000),
        _drip_to_the_end(gateway, "Transfer-Encoding: chunked", chunk + b"30d40\r\n"),
    )
    assert [answer.split(b" ", 2)[1] for answer in answers] == [b"408", b"408", b"413", b"413"]
