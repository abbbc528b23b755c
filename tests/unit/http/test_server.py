"""How soon a replica's server takes connections that come together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager

import pytest
import uvicorn
import uvloop
from ray.serve._private.http_util import start_asgi_http_server
from ray.serve.config import HTTPOptions
from starlette.applications import Starlette

from serve_app.http.server import ACCEPTED_PER_TURN, Server, serve_with_many_accepts
from tests.support.ports import free_port

_CONNECTIONS = 4 * ACCEPTED_PER_TURN
_TURNS_MAX = 1000


@pytest.fixture
def serve_s_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Serve take our server until the end of the test."""
    monkeypatch.setattr(uvicorn, "Server", uvicorn.Server)
    serve_with_many_accepts()


@asynccontextmanager
async def _started(port: int) -> AsyncIterator[uvicorn.Server]:
    """Start a server as a replica of Ray Serve does."""
    loop = asyncio.get_running_loop()
    serving, server = await start_asgi_http_server(
        Starlette(), HTTPOptions(host="127.0.0.1", port=port), event_loop=loop
    )
    while not server.started:
        await asyncio.sleep(0.001)
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


async def _turns_for_all(server: uvicorn.Server, port: int) -> int:
    """Connect many at once, and return how many turns the loop took until the server had all of them."""
    with ExitStack() as opened:
        for _ in range(_CONNECTIONS):
            client = opened.enter_context(socket.socket())
            client.connect(("127.0.0.1", port))
        turns = 0
        while len(server.server_state.connections) < _CONNECTIONS:
            await asyncio.sleep(0)
            turns += 1
            assert turns < _TURNS_MAX
    return turns


def _on_uvloop(test: Callable[[], Coroutine[None, None, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())


@pytest.mark.usefixtures("serve_s_server")
def test_connections_that_come_together_are_accepted_together() -> None:
    """A loop that is busy does not keep them waiting, one for each of its turns."""

    async def test() -> None:
        port = free_port()
        async with _started(port) as server:
            assert isinstance(server, Server)
            assert await _turns_for_all(server, port) < _CONNECTIONS / 4

    _on_uvloop(test)


@pytest.mark.usefixtures("serve_s_server")
def test_nothing_listens_on_after_the_end() -> None:
    """The port can be taken by another server at once."""

    async def test() -> None:
        port = free_port()
        for _ in range(2):
            async with _started(port):
                socket.create_connection(("127.0.0.1", port)).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))

    _on_uvloop(test)


async def test_what_would_go_on_for_ever_is_told_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the server waits for the answers under way."""
    monkeypatch.setattr(uvicorn, "Server", uvicorn.Server)
    told: list[bool] = []
    serve_with_many_accepts(lambda: told.append(True))
    async with _started(free_port()):
        assert told == []
    assert told == [True]
