"""A small HTTP server in the place of a Serve replica."""

from __future__ import annotations

import asyncio
import contextlib
import json


class Replica:
    """Stand in for a Serve replica: echo the request as JSON, or misbehave where the path says so."""

    def __init__(self) -> None:
        self.port = 0
        self.paths: list[str] = []
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._released = asyncio.Event()
        self.hanging, self.hung_up = asyncio.Event(), asyncio.Event()

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection."""
        self._released.set()
        assert self._server is not None
        self._server.close()
        for writer in self._open.values():
            writer.close()
        await asyncio.gather(*self._open)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        del self._open[task]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = [[name.lower(), value.strip()] for name, _, value in (line.partition(":") for line in head[1:])]
        if path == "/-/healthz":
            return await self._write(writer, 200, b"success")
        self.paths.append(path)
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        body = await reader.readexactly(length)
        if path == "/drop":
            return False
        if path == "/hang":
            self.hanging.set()
            ends = [asyncio.create_task(reader.read(1)), asyncio.create_task(self._released.wait())]
            _, pending = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if ends[0].done():
                self.hung_up.set()
            for task in pending:
                task.cancel()
            return False
        if path.startswith("/shed"):
            return await self._write(writer, 503, b"from the application", "Retry-After: 7", "X-EasyPay-Shed: 1")
        if path.startswith("/status/"):
            return await self._write(writer, int(path.rpartition("/")[2]), b"from the application")
        answer = {"method": method, "path": path, "headers": headers, "body_bytes": len(body)}
        return await self._write(writer, 200, json.dumps(answer).encode())

    async def _write(self, writer: asyncio.StreamWriter, status: int, body: bytes, *headers: str) -> bool:
        head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers])
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()
        return True
