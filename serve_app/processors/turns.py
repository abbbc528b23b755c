"""One operation at a time for each attempt id, in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Let concurrent duplicates of an attempt take turns; whoever waited finds what the one before recorded.

    Holds memory only for the ids that are being worked on or waited for.
    """

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._interested: dict[str, int] = {}

    def is_taken(self, attempt_id: str) -> bool:
        """Say whether the attempt is being worked on at this moment."""
        return attempt_id in self._locks

    @asynccontextmanager
    async def take(self, attempt_id: str) -> AsyncIterator[None]:
        """Hold the attempt's turn; waits, in order of arrival, while another holds it."""
        lock = self._locks.setdefault(attempt_id, asyncio.Lock())
        self._interested[attempt_id] = self._interested.get(attempt_id, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._interested[attempt_id] -= 1
            if not self._interested[attempt_id]:
                del self._locks[attempt_id], self._interested[attempt_id]
