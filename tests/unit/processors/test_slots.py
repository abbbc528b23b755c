"""Slots with a bounded queue."""

from __future__ import annotations

import asyncio

import pytest

from serve_app.processors.slots import Slots


async def test_full_counts_holders_and_queue() -> None:
    """One holder and one waiter fill one slot with a queue of one; both leave again."""
    slots, release = Slots(1, queue_max=1), asyncio.Event()

    async def hold() -> None:
        async with slots:
            await release.wait()

    holders = [asyncio.create_task(hold())]
    await asyncio.sleep(0)
    assert not slots.is_full()
    holders.append(asyncio.create_task(hold()))
    await asyncio.sleep(0)
    assert slots.is_full()
    release.set()
    await asyncio.gather(*holders)
    assert not slots.is_full()


async def test_cancelled_waiter_leaves_the_queue() -> None:
    """A waiter that gives up no longer counts."""
    slots = Slots(1, queue_max=1)
    async with slots:
        waiter = asyncio.create_task(slots.__aenter__())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert not slots.is_full()


def test_no_slots_make_no_sense() -> None:
    """At least one must be let in."""
    with pytest.raises(ValueError, match="at least 1"):
        Slots(0, queue_max=1)
