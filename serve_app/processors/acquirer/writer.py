"""The ledger's one writer: commands gather while a batch commits and go out together in the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serve_app.processors.acquirer.ledger import Command, Ledger, Reply

T = TypeVar("T")


class LedgerWriter:
    """Put commands in one order and commit them in batches, in a thread so that the event loop goes on.

    The order is the truth: of a perform and a refusal of one attempt the first in it wins. No timer: an idle
    writer commits a command at once. The queue is bounded by the slots of those who submit.
    """

    def __init__(self, ledger: Ledger, *, batch_max: int = 512) -> None:
        self._ledger = ledger
        self._batch_max = batch_max
        self._waiting: deque[tuple[Command, asyncio.Future[Reply]]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._draining: asyncio.Task[None] | None = None

    async def submit(self, command: Command) -> Reply:
        """Return the reply once it is on disk. Raises what the commit raised, and then nothing was done."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        self._waiting.append((command, future))
        if self._draining is None or self._draining.done():
            self._draining = loop.create_task(self._drain())
        return await future

    async def read(self, question: Callable[[Ledger], T]) -> T:
        """Ask the ledger something between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._ledger)

    async def close(self) -> None:
        """Commit what waits, then close the ledger."""
        if self._draining is not None:
            await self._draining
        await self.read(Ledger.close)
        self._thread.shutdown()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._batch_max))]
            commands = [command for command, _ in batch]
            try:
                replies = await loop.run_in_executor(self._thread, self._ledger.apply, commands)
            except Exception as error:
                _fail([future for _, future in batch], error)
                continue
            _resolve([future for _, future in batch], replies)


def _resolve(futures: Sequence[asyncio.Future[Reply]], replies: Sequence[Reply]) -> None:
    for future, reply in zip(futures, replies, strict=True):
        if not future.done():
            future.set_result(reply)


def _fail(futures: Sequence[asyncio.Future[Reply]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
