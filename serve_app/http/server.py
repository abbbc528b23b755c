"""An HTTP server that accepts many connections in one turn of the event loop.

libuv, on which uvloop stands, accepts one connection in a turn of the loop for each socket that listens. The turns of a
replica with much to do take some 20 ms, so it accepts 50 connections a second, and more requests at a time need more
connections: the ingress opened hundreds at once, and what it sent over them waited for seconds in the kernel, where no
priority, deadline or bound of ours reaches. A server that listens on duplicates of its socket accepts as many in a turn
as there are duplicates. Those that find nothing cost a system call each, and only where somebody connects.

Source: https://github.com/libuv/libuv/pull/3696.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

ACCEPTED_PER_TURN = 32
"""With turns of 20 ms 1,600 a second: more than the requests that a replica can refuse."""


class Server(uvicorn.Server):
    """Listen on each socket that it is given `ACCEPTED_PER_TURN` times, and close all of them at the end."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        if sockets is not None:
            sockets = [*sockets, *(each.dup() for each in sockets for _ in range(ACCEPTED_PER_TURN - 1))]
        await super().startup(sockets)


def serve_with_many_accepts(stopping: Callable[[], None] = lambda: None) -> None:
    """Have Ray Serve, which offers no choice of it, take this server in this process. Safe to repeat.

    `stopping` is called once the server takes no more connections, before it waits for what it still answers: for
    answers that would go on for ever.
    """

    class StoppingServer(Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            stopping()
            await super().shutdown(sockets)

    uvicorn.Server = StoppingServer  # type: ignore[misc]  # Serve looks the name up when it starts a server.
