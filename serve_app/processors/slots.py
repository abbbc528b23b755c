"""A bound on how many work at once and on how many may wait for it."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Slots:
    """Let `concurrency` holders in, first come first served, with a bounded queue behind them.

    Ask `is_full` before entering: at the bound the caller turns the work away instead of queueing it.
    """

    def __init__(self, concurrency: int, *, queue_max: int) -> None:
        if concurrency < 1 or queue_max < 0:
            raise ValueError("concurrency must be at least 1 and queue_max must not be negative")
        self._semaphore = asyncio.Semaphore(concurrency)
        self._inside_max = concurrency + queue_max
        self._inside = 0

    def is_full(self) -> bool:
        """Say whether the queue has reached its bound."""
        return self._inside >= self._inside_max

    async def __aenter__(self) -> None:
        self._inside += 1
        try:
            await self._semaphore.acquire()
        except BaseException:
            self._inside -= 1
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
        self._semaphore.release()
