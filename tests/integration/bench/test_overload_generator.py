"""The open load against servers that misbehave, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.bench.overload.answer import Outcome
from tests.bench.overload.generator import Generator, Plan
from tests.bench.overload.pool import ALREADY_CLOSED_S, Pool
from tests.bench.overload.schedule import Arrivals
from tests.bench.overload.stream import Merchant, Stream
from tests.bench.overload.tally import Tally

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
GOOD = (Outcome.GOOD,)


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """Serve connections until the block ends; yields the port."""

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is through
        finally:
            writer.close()

    server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def receive(reader: asyncio.StreamReader) -> None:
    """Read one request without a body."""
    await reader.readuntil(b"\r\n\r\n")


async def offered(
    port: int, *, rate: float, seconds: float, connections_max: int, open_first: int = 0, rotates: bool = False
) -> tuple[Tally, Pool]:
    """Offer evenly paced reads, and return what became of them and the pool that sent them."""
    request = Merchant(f"http://127.0.0.1:{port}", "sk_test_1").newest(1)
    stream = Stream("list", request, Arrivals(rate, 0, seconds, paced=True))
    pool = Pool("127.0.0.1", port, connections_max=connections_max, rotates=rotates)
    try:
        await pool.open(open_first)
        pool.restart_clock()
        generator = Generator(Plan("127.0.0.1", port, (stream,), connections_max), pool)
        await generator.finished()
    finally:
        pool.close()
    return generator.tally, pool


async def test_a_stall_is_in_the_latency_of_every_request_that_was_due_meanwhile() -> None:
    """A server that does nothing for half a second delays all of its requests: none is left out of the count."""
    released = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await receive(reader)
            await released.wait()
            writer.write(ANSWER)

    async with listening(stall) as port:
        asyncio.get_running_loop().call_later(0.5, released.set)
        tally, _ = await offered(port, rate=100, seconds=0.5, connections_max=100)
    assert tally.count(GOOD) == tally.offered() == 50
    median_ms = tally.latency_ms(0.5, GOOD)
    assert median_ms is not None
    assert median_ms > 200


async def test_a_request_without_a_connection_is_counted_as_unsent() -> None:
    """With two connections and a server that never answers, the third request and all after it have none."""

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        await reader.read()

    async with listening(hang) as port:
        pool = Pool("127.0.0.1", port, connections_max=2)
        request = Merchant(f"http://127.0.0.1:{port}", "sk_test_1").newest(1)
        plan = Plan("127.0.0.1", port, (Stream("list", request, Arrivals(100, 0, 0.1, paced=True)),), 2)
        generator = Generator(plan, pool)
        asyncio.get_running_loop().call_later(0.5, pool.close)
        await generator.finished()
    assert pool.opened == 2
    assert generator.tally.count((Outcome.UNSENT,)) == 8
    assert generator.tally.count((Outcome.UNANSWERED,)) == 2


async def test_a_connection_that_the_server_closed_at_rest_is_opened_again() -> None:
    """A server that answers one request for each connection, and then closes it unannounced, fails no request."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        writer.write(ANSWER)

    async with listening(once) as port:
        tally, pool = await offered(port, rate=200, seconds=0.5, connections_max=50)
    assert tally.count(GOOD) == tally.offered() == 100
    assert pool.closed_idle + pool.resent > 90


async def test_a_connection_that_is_lost_with_its_first_request_is_an_error() -> None:
    """Nothing says that the request was not carried out: it is not sent again."""

    async def drop(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await receive(reader)

    async with listening(drop) as port:
        tally, pool = await offered(port, rate=100, seconds=0.1, connections_max=50)
    assert tally.count((Outcome.BROKEN,)) == tally.offered() == 10
    assert pool.resent == 0


async def test_a_refused_connection_is_an_error() -> None:
    """Where nobody listens, every request is broken and the run ends."""
    async with listening(lambda *_: asyncio.sleep(0)) as port:
        pass
    tally, _ = await offered(port, rate=100, seconds=0.1, connections_max=50)
    assert tally.count((Outcome.BROKEN,)) == tally.offered() == 10


@pytest.mark.parametrize(("rotates", "used"), [(True, 20), (False, 1)])
async def test_connections_take_turns_where_they_should(rotates: bool, used: int) -> None:
    """In turn each of twenty is used; otherwise the one that was used last, as long as it is free."""
    seen = set()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await receive(reader)
            seen.add(writer)
            writer.write(ANSWER)

    async with listening(note) as port:
        tally, pool = await offered(port, rate=50, seconds=1, connections_max=20, open_first=20, rotates=rotates)
    assert tally.count(GOOD) == 50
    assert pool.opened == 20
    assert len(seen) == 20 if rotates else len(seen) <= 3 * used


async def test_a_connection_that_is_lost_long_after_a_request_is_an_error() -> None:
    """A server that answers once, takes the next request and hangs up later has not closed the connection at rest."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        writer.write(ANSWER)
        await receive(reader)
        await asyncio.sleep(ALREADY_CLOSED_S + 0.2)  # what is tested is this time

    async with listening(hang_up) as port:
        tally, pool = await offered(port, rate=10, seconds=0.2, connections_max=1)
    assert [tally.count((outcome,)) for outcome in (Outcome.GOOD, Outcome.BROKEN)] == [1, 1]
    assert pool.resent == 0
