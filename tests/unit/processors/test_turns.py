"""Turns at an attempt id."""

from __future__ import annotations

import asyncio

from serve_app.processors.turns import Turns


async def test_one_holder_at_a_time() -> None:
    """A second taker of an attempt waits until the first is done; another attempt goes ahead."""
    turns, release, order = Turns(), asyncio.Event(), list[str]()

    async def hold() -> None:
        async with turns.take("att_a"):
            order.append("first")
            await release.wait()

    async def follow(attempt_id: str) -> None:
        async with turns.take(attempt_id):
            order.append(attempt_id)

    async with asyncio.TaskGroup() as group:
        group.create_task(hold())
        group.create_task(follow("att_a"))
        await group.create_task(follow("att_b"))
        assert order == ["first", "att_b"]
        release.set()
    assert order == ["first", "att_b", "att_a"]


async def test_taken_while_held_and_forgotten_after() -> None:
    """An attempt is taken exactly while someone works on it, and then no memory is kept."""
    turns = Turns()
    async with turns.take("att_a"):
        assert turns.is_taken("att_a")
        assert not turns.is_taken("att_b")
    assert not turns.is_taken("att_a")
    assert turns._interested == {}


async def test_cancelled_waiter_gives_up_its_place() -> None:
    """A waiter that is cancelled leaves nothing behind."""
    turns = Turns()

    async def follow() -> None:
        async with turns.take("att_a"):
            raise AssertionError("never reached")

    async with turns.take("att_a"):
        waiter = asyncio.create_task(follow())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
    assert not turns.is_taken("att_a")
