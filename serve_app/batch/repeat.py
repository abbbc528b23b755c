"""Runs one page of a job again while the database is away. Every page is repeatable by the keys that it writes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable

Result = TypeVar("Result")

REPEAT_S = 60.0
"""Longer than a restart of PostgreSQL. A job that gives up goes on where it was when it is run again."""
_BACKOFF_MIN_S = 0.1
_BACKOFF_MAX_S = 2.0
_PASSING = (DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable)


async def repeated(page: Callable[[], Awaitable[Result]], *, repeat_s: float = REPEAT_S) -> Result:
    """Return what `page` returns; where it failed for a passing reason run it again, for up to `repeat_s` seconds.

    Raises what it raised last.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + repeat_s
    backoff_s = _BACKOFF_MIN_S
    while True:
        try:
            return await page()
        except _PASSING:
            pause_s = random.uniform(0, backoff_s)
            if loop.time() + pause_s >= give_up:
                raise
        await asyncio.sleep(pause_s)
        backoff_s = min(_BACKOFF_MAX_S, backoff_s * 2)
