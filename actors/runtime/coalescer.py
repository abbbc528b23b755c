"""Adaptive batching: while a call is in flight, the next batch gathers.

No timer holds an item back. The first item leaves on the next turn of the loop, so an idle caller pays one turn and a
busy one gets batches as large as its load makes them (the idea of Nagle's algorithm, RFC 896, without its delay).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable
from actors.runtime.tracing import batch as batch_span
from actors.runtime.tracing import current as current_span

Item = TypeVar("Item")
Result = TypeVar("Result")

# HTTP's Retry-After counts whole seconds, and a queue that is full now is rarely full for longer.
RETRY_AFTER_S = 1.0
# One sweep looks after the deadlines of all items. A timer for each costs more than the rest of `submit`.
SWEEP_INTERVAL_S = 0.025


class _Entry(Generic[Item, Result]):
    """One submitted item on its way."""

    __slots__ = ("deadline", "future", "item", "key", "traced")

    def __init__(self, item: Item, future: asyncio.Future[Result]) -> None:
        self.item = item
        self.future = future
        self.deadline: float | None = None
        self.key: Hashable = None
        self.traced = current_span()


class Coalescer(Generic[Item, Result]):
    """Gather single items into batches and send at most ``in_flight_max`` of them at once.

    ``send`` gets a list of 1 to ``batch_max`` items and returns one outcome for each, in order; an exception object as
    an outcome fails that item alone, and ``send`` raising fails its whole batch. With ``key``, items of one key never
    share a batch nor are in flight together, and keep their order. Without ``writes`` what was sent changes nothing, so
    no outcome is ever unknown. Bound to the loop of its first ``submit``. Where callers are traced, their batch is a
    span with a link to each of theirs, and ``send`` runs within it.
    """

    def __init__(
        self,
        send: Callable[[list[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        name: str,
        batch_max: int = 128,
        in_flight_max: int = 4,
        queue_max: int = 10_000,
        key: Callable[[Item], Hashable] | None = None,
        writes: bool = True,
    ) -> None:
        assert batch_max > 0
        assert in_flight_max > 0
        assert queue_max > 0
        self._send = send
        self._name = name
        self._batch_max = batch_max
        self._in_flight_max = in_flight_max
        self._queue_max = queue_max
        self._key = key
        self._writes = writes
        self._queue: deque[_Entry[Item, Result]] = deque()
        self._held: dict[Hashable, deque[_Entry[Item, Result]]] = {}
        self._held_count = 0
        self._in_flight: dict[asyncio.Task[None], list[_Entry[Item, Result]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        self._sweeping = False
        self._draining: asyncio.Future[None] | None = None

    @property
    def queue_depth(self) -> int:
        """Items that wait for a batch, those in flight not counted."""
        return len(self._queue) + self._held_count

    @property
    def in_flight(self) -> int:
        """Batches that are out."""
        return len(self._in_flight)

    async def submit(self, item: Item, timeout_s: float | None = None) -> Result:
        """Hand over one item and wait for its own outcome.

        Raises ``Overloaded`` at once where the queue is full, ``Unavailable`` after ``drain``. When ``timeout_s``
        passes (checked every 25 ms): ``DeadlineExceeded`` if the item had not left the queue, and then it never will;
        else ``OutcomeUnknown``. A caller that is cancelled takes its item out of the queue, but not out of a batch.
        """
        if self._draining is not None:
            raise Unavailable(self._name, "draining", RETRY_AFTER_S)
        if len(self._queue) + self._held_count >= self._queue_max:
            raise Overloaded(self._name, RETRY_AFTER_S)
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        entry = _Entry(item, future)
        if timeout_s is not None:
            entry.deadline = loop.time() + timeout_s
            if not self._sweeping:
                self._sweeping = True
                loop.call_later(SWEEP_INTERVAL_S, self._sweep)
        if self._key is None:
            self._queue.append(entry)
        else:
            self._enqueue_keyed(entry, self._key(item))
        if not self._woken and len(self._in_flight) < self._in_flight_max:
            self._woken = True
            loop.call_soon(self._dispatch)
        return await future

    async def drain(self) -> None:
        """Refuse new items from now on and return when all that were submitted have their outcome. Repeatable."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_future()
            self._finish_drain()
        await asyncio.shield(self._draining)

    def _enqueue_keyed(self, entry: _Entry[Item, Result], key: Hashable) -> None:
        """Queue the entry, or hold it back while another of its key is queued or in flight."""
        entry.key = key
        held = self._held.get(key)
        if held is None:
            self._held[key] = deque()
            self._queue.append(entry)
        else:
            held.append(entry)
            self._held_count += 1

    def _release_key(self, key: Hashable) -> None:
        held = self._held[key]
        if held:
            self._held_count -= 1
            self._queue.append(held.popleft())
        else:
            del self._held[key]

    def _dispatch(self) -> None:
        self._woken = False
        assert self._loop is not None
        while self._queue and len(self._in_flight) < self._in_flight_max:
            batch = self._take_batch()
            if batch:
                self._in_flight[self._loop.create_task(self._run(batch))] = batch
        self._finish_drain()

    def _take_batch(self) -> list[_Entry[Item, Result]]:
        """Take the next entries that still have a caller."""
        queue, batch, room = self._queue, [], self._batch_max
        while queue and room:
            entry = queue.popleft()
            if not entry.future.done():
                batch.append(entry)
                room -= 1
            elif self._key is not None:
                self._release_key(entry.key)
        return batch

    async def _run(self, batch: list[_Entry[Item, Result]]) -> None:
        try:
            with batch_span(self._name, [entry.traced for entry in batch]):
                outcomes = await self._send([entry.item for entry in batch])
            assert len(outcomes) == len(batch), f"{self._name}: {len(outcomes)} outcomes for {len(batch)} items"
            self._deliver(batch, outcomes)
        except asyncio.CancelledError:
            for entry in batch:
                entry.future.cancel()
            raise
        except Exception as exc:
            self._deliver(batch, [exc] * len(batch))
        finally:
            self._finish(batch)

    @staticmethod
    def _deliver(batch: list[_Entry[Item, Result]], outcomes: Sequence[Result | BaseException]) -> None:
        for entry, outcome in zip(batch, outcomes, strict=True):
            future = entry.future
            if future.done():
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _finish(self, batch: list[_Entry[Item, Result]]) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None
        del self._in_flight[task]
        if self._key is not None:
            for entry in batch:
                self._release_key(entry.key)
        if self._queue and not self._woken:
            self._dispatch()
        elif self._draining is not None:
            self._finish_drain()

    def _finish_drain(self) -> None:
        if self._draining is None or self._draining.done():
            return
        if not self._in_flight and not self.queue_depth:
            self._draining.set_result(None)

    def _sweep(self) -> None:
        """Fail what is past its deadline. Runs only while something with a deadline is on its way."""
        assert self._loop is not None
        now = self._loop.time()
        timed = self._expire(self._queue, now, unknown=False)
        for held in self._held.values():
            timed |= self._expire(held, now, unknown=False)
        for batch in self._in_flight.values():
            timed |= self._expire(batch, now, unknown=self._writes)
        self._sweeping = timed
        if timed:
            self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _expire(self, entries: Sequence[_Entry[Item, Result]], now: float, *, unknown: bool) -> bool:
        """Fail the late ones; return whether any with a deadline is left."""
        timed = False
        for entry in entries:
            if entry.deadline is None or entry.future.done():
                continue
            if entry.deadline > now:
                timed = True
            elif unknown:
                entry.future.set_exception(OutcomeUnknown(self._name, "no answer within the deadline"))
            else:
                entry.future.set_exception(DeadlineExceeded(self._name))
        return timed
