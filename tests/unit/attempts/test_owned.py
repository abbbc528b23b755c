"""Work that a process owns outlives the request that started it, within a bound."""

from __future__ import annotations

import asyncio

import pytest

from actors.runtime.errors import Overloaded
from serve_app.attempts.owned import OwnedWork


async def _wait(event: asyncio.Event) -> str:
    await event.wait()
    return "done"


async def test_a_cancelled_request_cancels_no_work() -> None:
    """The task that a cancelled caller awaited under a shield goes on to its end."""
    owned, event = OwnedWork(10), asyncio.Event()
    task = owned.start(_wait(event))

    async def request() -> str:
        return await asyncio.shield(task)

    caller = asyncio.create_task(request())
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    event.set()
    assert await task == "done"


async def test_beyond_the_bound_nothing_starts() -> None:
    """The next one is refused at once; what finishes earlier work is not."""
    owned, event = OwnedWork(1), asyncio.Event()
    running = owned.start(_wait(event))
    with pytest.raises(Overloaded):
        owned.start(_wait(event))
    continuing = owned.go_on(_wait(event))
    event.set()
    assert [await running, await continuing] == ["done", "done"]
    assert await owned.drain(1.0) == 0


async def test_draining_tells_what_is_left() -> None:
    """What ends in time is waited for; what does not is counted."""
    owned, event = OwnedWork(2), asyncio.Event()
    running = owned.start(_wait(event))
    assert await owned.drain(0.01) == 1
    event.set()
    assert await owned.drain(1.0) == 0
    assert running.done()
