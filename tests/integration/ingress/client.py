"""A client that writes HTTP by hand, so that a test can also write it wrongly or slowly."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

WAIT_S = 20


@dataclass(slots=True)
class Reply:
    """Hold one HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """Read the body as a JSON object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Read one answer with a Content-Length from the wire."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        if name:
            key = name.lower()
            headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(int(head[0].split()[1]), headers, body)


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str = "/echo",
    headers: str = "",
    body: bytes = b"",
) -> Reply:
    """Send one POST and read its answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: pay\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    writer.write(head.encode("latin-1") + body)
    await writer.drain()
    async with asyncio.timeout(WAIT_S):
        return await read_reply(reader)
