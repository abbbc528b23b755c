"""The lease of a process, before a manager that answers as scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from actors.pool.budget import HOLDER_MAX, SILENT_S
from actors.pool.lease import LeasedPool, holder_name
from actors.pool.messages import Grant, Renewed, Wait
from actors.pool.usage import Figures
from actors.runtime.clock import ManualClock
from actors.runtime.errors import DeadlineExceeded, Unavailable
from tests.unit.actors.pool.fakes import FakeManager, FakeServer, turns

GRANT = Grant("lease-1", 4, 5.0)
AWAY = Unavailable("pool-manager", "away", 1.0)


@asynccontextmanager
async def leased(
    manager: FakeManager | None,
    server: FakeServer | None = None,
    clock: ManualClock | None = None,
    interval_s: float = 0.0,
) -> AsyncIterator[LeasedPool]:
    connector: Any = server or FakeServer()
    lease = LeasedPool(connector, name="test", want=4, manager=manager, clock=clock, renew_interval_s=interval_s)
    try:
        yield lease
    finally:
        await lease.stop()


@pytest.mark.parametrize("name", ["replica", "ein langer Name, der nicht in ein Feld passt", "ünïcode/slash"])
def test_a_holder_s_name_is_unique_and_fits_the_server(name: str) -> None:
    """Whatever the caller calls it, it is short, plain and never twice the same."""
    holders = {holder_name(name) for _ in range(50)}
    assert len(holders) == 50
    for holder in holders:
        assert len(holder) <= HOLDER_MAX
        assert holder.isascii()
        assert "/" not in holder


async def test_without_a_manager_the_size_is_what_is_wanted() -> None:
    """Tools and tests lease from nobody, and connect under their own name."""
    server = FakeServer()
    async with leased(None, server) as lease:
        assert await lease.start()
        assert lease.pool.size == 4
        async with lease.pool.acquire(1):
            assert server.connections[0].name == "test"


async def test_a_grant_sizes_the_pool_and_names_its_connections() -> None:
    """By the lease's name the server's connections can be ended."""
    server, manager = FakeServer(), FakeManager(GRANT)
    async with leased(manager, server) as lease:
        assert await lease.start()
        assert lease.pool.size == 4
        async with lease.pool.acquire(1):
            assert server.connections[0].name == "lease-1"


async def test_a_wait_is_asked_again() -> None:
    """Until something is granted the pool has no size, and callers are refused."""
    manager = FakeManager(Wait("full", 0.0), Wait("full", 60.0))
    async with leased(manager) as lease:
        assert not await lease.start(timeout_s=0.01)
        assert [call[0] for call in manager.asked] == ["request", "request"]
        with pytest.raises(Unavailable, match="no connection is leased"):
            await lease.pool.take(1)


async def test_a_manager_that_is_not_there_yet_is_asked_again() -> None:
    """The process starts, and gets its connections when the manager comes."""
    manager = FakeManager(AWAY, AWAY, GRANT)
    async with leased(manager) as lease:
        assert await lease.start()
        assert lease.pool.size == 4


async def test_the_pool_goes_on_while_the_manager_is_away() -> None:
    """A lease that cannot be renewed keeps its size."""
    manager = FakeManager(GRANT, AWAY, AWAY, 3)
    async with leased(manager) as lease:
        await lease.start()
        await manager.wait_for(3)
        assert lease.pool.size == 4
        await manager.wait_for(4)
        await turns()
        assert lease.pool.size == 3


async def test_a_renewal_says_what_the_process_may_hold() -> None:
    """The limit that it goes by, for up to that many it may open at any moment."""
    manager = FakeManager(GRANT, 2, 2)
    async with leased(manager) as lease:
        await lease.start()
        await manager.wait_for(3)
        assert manager.asked[1:3] == [("renew", "lease-1", 4, 4), ("renew", "lease-1", 2, 4)]


async def test_connections_beyond_a_smaller_size_are_reported_until_they_are_closed() -> None:
    """The manager must not grant them to others before."""
    server, manager = FakeServer(), FakeManager(GRANT, 1, 1, 1)
    async with leased(manager, server) as lease:
        manager.may_go_on.clear()
        await lease.start()
        used = [await lease.pool.take(1) for _ in range(3)]
        manager.may_go_on.set()
        await manager.wait_for(3)
        assert manager.asked[2] == ("renew", "lease-1", 3, 4)
        for connection in used:
            lease.pool.give_back(connection)


async def test_a_lost_lease_closes_everything_and_asks_anew() -> None:
    """Connections of the old name may be ended any moment; new ones bear the new name."""
    server, manager = FakeServer(), FakeManager(GRANT, 0, Grant("lease-2", 3, 5.0))
    async with leased(manager, server) as lease:
        manager.may_go_on.clear()
        await lease.start()
        lease.pool.give_back(await lease.pool.take(1))
        manager.may_go_on.set()
        await manager.wait_for(4)
        assert [call[0] for call in manager.asked[:3]] == ["request", "renew", "request"]
        assert lease.pool.size == 3
        connection: Any = await lease.pool.take(1)
        assert connection.name == "lease-2"
        assert server.connections[0].closed
        lease.pool.give_back(connection)


async def test_no_connection_is_made_after_the_manager_s_word_has_run_out() -> None:
    """Another cluster may be ending those that there are; the manager is away, so nobody prolongs it."""
    clock = ManualClock()
    manager = FakeManager(replace(GRANT, connect_s=7.0), AWAY, AWAY, AWAY)
    async with leased(manager, clock=clock, interval_s=60.0) as lease:
        await lease.start()
        clock.advance(6.9)
        lease.pool.give_back(await lease.pool.take(1))
        clock.advance(0.2)
        held = await lease.pool.take(1)
        with pytest.raises(DeadlineExceeded):
            await lease.pool.take(0.05)
        lease.pool.give_back(held)


async def test_a_lease_that_may_have_run_out_is_asked_about_before_connecting() -> None:
    """A process that stood still must not connect under a lease that was given to others."""
    clock, server = ManualClock(), FakeServer()
    manager = FakeManager(GRANT, 0, Grant("lease-2", 3, 5.0))
    async with leased(manager, server, clock, interval_s=60.0) as lease:
        await lease.start()
        clock.advance(60)
        connection: Any = await lease.pool.take(1)
        assert connection.name == "lease-2"
        lease.pool.give_back(connection)


async def test_a_manager_that_is_away_forbids_no_connection() -> None:
    """The lease may have run out, but nobody else can have been granted it."""
    clock, server, manager = ManualClock(), FakeServer(), FakeManager(GRANT)
    async with leased(manager, server, clock, interval_s=60.0) as lease:
        await lease.start()
        clock.advance(60)
        lease.pool.give_back(await lease.pool.take(1))
        assert server.connections[0].name == "lease-1"


async def test_stopping_closes_the_connections_and_then_gives_the_lease_back() -> None:
    """In this order, or others could be granted what is still open."""
    server, manager = FakeServer(), FakeManager(GRANT)
    async with leased(manager, server) as lease:
        await lease.start()
        lease.pool.give_back(await lease.pool.take(1))
        await manager.wait_for(2)
        seen: list[bool] = []

        async def release(lease_id: str, figures: Figures | None = None) -> None:
            assert lease_id == "lease-1"
            assert figures is not None
            seen.append(server.connections[0].closed)

        manager.release = release  # type: ignore[method-assign]
        await lease.stop()
        assert seen == [True]


async def test_stopping_does_not_depend_on_the_manager() -> None:
    """A lease that cannot be given back runs out."""
    async with leased(FakeManager(GRANT)) as lease:
        await lease.start()
        async with asyncio.timeout(5):
            await lease.stop()


async def test_a_lease_follows_the_load() -> None:
    """An unused one wants less and less; whoever waits for more makes it ask at once."""
    clock, manager = ManualClock(), FakeManager(GRANT, *([Renewed(1)] * 50))
    connector: Any = FakeServer()
    lease = LeasedPool(connector, name="test", want=4, least=1, manager=manager, clock=clock, renew_interval_s=60.0)
    await lease.start()
    lease.pool.resize(1)
    first = await lease.pool.take(1)
    waiter = asyncio.ensure_future(lease.pool.take(5))
    await manager.wait_for(2)
    assert manager.asked[1][:2] == ("renew", "lease-1")
    assert manager.asked[1][3] == 4
    lease.pool.give_back(first)
    lease.pool.give_back(await waiter)
    await lease.stop()


async def test_what_is_scarce_is_given_up_where_it_is_not_used() -> None:
    """It says that it can do without, and asks for some as soon as somebody waits."""
    manager = FakeManager(GRANT, *([Renewed(1, scarce=True)] * 20), *([Renewed(0, scarce=True)] * 500))
    connector: Any = FakeServer()
    lease = LeasedPool(connector, name="test", want=4, least=1, manager=manager, renew_interval_s=0.1)
    await lease.start()
    async with asyncio.timeout(5):
        while manager.asked[-1][3:] != (0,):
            await manager.wait_for(len(manager.asked) + 1)
        while lease.pool.size > 0:
            await manager.wait_for(len(manager.asked) + 1)
        waiter = asyncio.ensure_future(lease.pool.take(5))
        while manager.asked[-1][3] == 0:
            await manager.wait_for(len(manager.asked) + 1)
        manager.answers[:] = [Renewed(1, scarce=True)]
        lease.pool.give_back(await waiter)
    await lease.stop()


async def test_figures_are_told_now_and_then() -> None:
    """With a renewal every five seconds, and at the end."""
    clock, manager = ManualClock(), FakeManager(GRANT, 4, 4, 4)
    async with leased(manager, clock=clock) as lease:
        await lease.start()
        await manager.wait_for(3)
        clock.advance(5)
        await manager.wait_for(4)
    assert [figures is not None for figures in manager.told[:3]] == [True, False, True]
    assert manager.told[-1] is not None


async def test_without_a_connection_callers_wait_for_their_turn() -> None:
    """The lease goes on, and they are served when it has some again."""
    manager = FakeManager(GRANT, Renewed(0))
    async with leased(manager) as lease:
        await lease.start()
        await manager.wait_for(3)
        assert lease.pool.size == 0
        taking = asyncio.ensure_future(lease.pool.take(5))
        await turns()
        assert not taking.done()
        manager.answers.append(Renewed(2))
        lease.pool.give_back(await taking)
        assert lease.pool.size == 2


async def test_a_connection_that_took_too_long_is_asked_about() -> None:
    """The lease may have been given to others while it was made."""
    clock, server = ManualClock(), FakeServer()
    manager = FakeManager(GRANT, 0, Grant("lease-2", 3, 5.0))
    async with leased(manager, server, clock, interval_s=60.0) as lease:
        await lease.start()
        server.may_connect.clear()
        taking = asyncio.ensure_future(lease.pool.take(1))
        await turns()
        clock.advance(SILENT_S)
        server.may_connect.set()
        with pytest.raises(Unavailable):
            await taking
        assert server.connections[0].terminated
        assert server.connections[0].name == "lease-1"
