"""Calls over a connection of their own: what crosses, what a lost connection means, and who is let in."""

from __future__ import annotations

import asyncio
import pickle
import struct
from collections.abc import AsyncIterator

import pytest
import uvloop

from actors.runtime.channel import Address, Channel, ChannelServer
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable


class _Server:
    """Something to call."""

    def __init__(self) -> None:
        self.calls = 0
        self.ended = 0
        self.server: ChannelServer | None = None
        self.address: Address | None = None

    async def start(self) -> None:
        self.server = ChannelServer(
            {"echo": self.echo, "fail": self.fail, "hang": self.hang, "odd": self.odd, "at_once": self.at_once}
        )
        self.address = await self.server.start("127.0.0.1")

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.close()

    async def find(self) -> Address:
        if self.address is None:
            raise Unavailable("shard", "is away", 1.0)
        return self.address

    async def echo(self, value: object) -> object:
        self.calls += 1
        return value

    async def fail(self) -> None:
        raise Overloaded("something", 2.0)

    async def hang(self) -> None:
        self.calls += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    def at_once(self, value: object) -> object:
        if value is None:
            raise Overloaded("something", 2.0)
        return value

    async def odd(self) -> object:
        return lambda: None


@pytest.fixture
async def server() -> AsyncIterator[_Server]:
    """Run a server."""
    running = _Server()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def channel(server: _Server) -> AsyncIterator[Channel]:
    """Return a channel to it."""
    opened = Channel("shard", server.find)
    yield opened
    opened.close()


async def test_values_cross_both_ways(channel: Channel) -> None:
    """Large ones too, and a thousand at once over one connection."""
    large = b"x" * 3_000_000
    assert await channel.call("echo", large, timeout_s=5) == large
    answers = await asyncio.gather(*(channel.call("echo", number, timeout_s=5) for number in range(1000)))
    assert answers == list(range(1000))


async def test_what_answers_at_once_answers_the_same(channel: Channel) -> None:
    """With its value, or its error."""
    assert await channel.call("at_once", b"value", timeout_s=5) == b"value"
    with pytest.raises(Overloaded):
        await channel.call("at_once", None, timeout_s=5)


def test_it_works_on_uvloop() -> None:
    """On which replicas and actors run."""

    async def call() -> object:
        server = _Server()
        await server.start()
        channel = Channel("shard", server.find)
        answer = await channel.call("echo", 1, timeout_s=5)
        channel.close()
        await server.stop()
        return answer

    assert uvloop.run(call()) == 1


async def test_errors_cross_as_they_are(channel: Channel) -> None:
    """With what they say; one that is not made to cross arrives as text."""
    with pytest.raises(Overloaded) as raised:
        await channel.call("fail", timeout_s=5)
    assert raised.value.retry_after_s == 2.0
    with pytest.raises(RuntimeError, match="lambda"):
        await channel.call("odd", timeout_s=5)


async def test_a_call_has_a_deadline(server: _Server, channel: Channel) -> None:
    """After it the connection serves others."""
    with pytest.raises(DeadlineExceeded):
        await channel.call("hang", timeout_s=0.05)
    assert await channel.call("echo", 1, timeout_s=5) == 1
    assert server.calls == 2


async def test_a_connection_that_is_lost_leaves_the_outcome_unknown(server: _Server, channel: Channel) -> None:
    """The server gives the call up; the next one finds no server, or another."""
    hanging = asyncio.ensure_future(channel.call("hang", timeout_s=5))
    while not server.calls:
        await asyncio.sleep(0.001)
    await server.stop()
    with pytest.raises(OutcomeUnknown):
        await hanging
    with pytest.raises(Unavailable):
        await channel.call("echo", 1, timeout_s=5)
    assert server.ended == 1
    await server.start()
    assert await channel.call("echo", 1, timeout_s=5) == 1


async def test_where_there_is_no_server_nothing_was_done(server: _Server) -> None:
    """Whoever says so: the one that is asked for the address, or the system."""
    server.address = None
    channel = Channel("shard", server.find)
    with pytest.raises(Unavailable):
        await channel.call("echo", 1, timeout_s=5)
    assert server.calls == 0


async def test_only_who_has_the_key_is_let_in(server: _Server) -> None:
    """And nothing that a stranger sends is unpickled."""
    assert server.address is not None
    stranger = Channel("shard", _found(server.address._replace(key=b"k" * 32)))
    with pytest.raises(Unavailable):
        await stranger.call("echo", 1, timeout_s=5)
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    await reader.readexactly(4 + 32)
    for frame in (pickle.dumps((1, "echo", (1,))), b""):
        writer.write(struct.pack("!I", len(frame)) + frame)
    assert await reader.read() == b""
    writer.close()
    assert server.calls == 0


async def test_a_frame_that_is_too_long_ends_the_connection(server: _Server) -> None:
    """Before any of it is kept."""
    assert server.address is not None
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    await reader.readexactly(4 + 32)
    writer.write(b"\xff" * 4)
    assert await reader.read() == b""
    writer.close()


def _found(address: Address):  # type: ignore[no-untyped-def]
    async def find() -> Address:
        return address

    return find
