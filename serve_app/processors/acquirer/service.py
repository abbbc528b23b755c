"""What the acquirer does with an operation between its arrival and the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from serve_app.processors.acquirer.ledger import Find, LedgerPage, Perform, Refuse
from serve_app.processors.acquirer.writer import LedgerWriter
from serve_app.processors.books import Entry, replay
from serve_app.processors.journey import Ending, Itinerary
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Definite,
    Failed,
    NotFound,
    Pending,
    ProcessorRequest,
    Refused,
    Unknown,
)
from serve_app.processors.slots import Slots
from serve_app.processors.turns import Turns

NOT_DONE = Failed("processor_error", retryable=True)
OVERLOADED = Failed("processor_overloaded", retryable=True)


@dataclass(frozen=True, slots=True)
class Report:
    """Say what came of an operation, and what its caller is to see of that."""

    outcome: Definite | Unknown
    ending: Ending = Ending.ANSWER
    after_s: float = 0.0
    is_new: bool = False
    """Whether it was recorded by this call, and not by an earlier one of the same attempt."""


class Acquirer:
    """Perform operations at a limited rate, each attempt id at most once, on disk before it is answered.

    An attempt is being performed from its first delay to its commit: a lookup says pending then, a duplicate
    or a refusal waits. The second delay comes after the commit, so that an answer can be lost while the
    charge stands.
    """

    def __init__(
        self,
        writer: LedgerWriter,
        itinerary: Itinerary,
        slots: Slots,
        *,
        finished: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`finished` is told the id of each attempt, once its outcome is on disk and its time is over."""
        self._writer = writer
        self._itinerary = itinerary
        self._slots = slots
        self._turns = Turns()
        self._finished = finished
        self._sleep = sleep

    async def perform(self, request: ProcessorRequest) -> Report:
        """Carry out the operation, or answer what was recorded under its attempt id. Safe to repeat."""
        if self._slots.is_full():
            return Report(OVERLOADED)
        async with self._slots:
            report = await self._decide(request)
            await self._pause(report.after_s)
        if report.is_new:
            self._finished(request.attempt_id)
        return report

    async def lookup(self, attempt_id: str) -> Definite | Pending | NotFound:
        """Answer what is on disk, or that the attempt is under way."""
        if self._turns.is_taken(attempt_id):
            return Pending()
        entry = await self._writer.submit(Find(attempt_id))
        if not isinstance(entry, Entry):
            return NotFound()
        return Failed("refused", retryable=False) if isinstance(entry.result, Refused) else entry.result

    async def refuse(self, attempt_id: str) -> Refused | Definite:
        """Forbid the attempt id for ever, or answer what it came to. Safe to repeat."""
        async with self._turns.take(attempt_id):
            reply = await self._writer.submit(Refuse(attempt_id))
        assert isinstance(reply, Refused | Approved | Declined | Failed), reply
        return reply

    async def page(self, after: int, limit: int) -> LedgerPage:
        """Return a page of the ledger as it is between two commits."""
        return await self._writer.read(lambda ledger: ledger.page(after, limit))

    async def last_sequence(self) -> int:
        """Return the sequence of the ledger's newest entry."""
        return await self._writer.read(lambda ledger: ledger.last_sequence())

    async def moved(self, after: int, until: int, limit: int) -> list[tuple[int, Entry]]:
        """Return a page of the entries that took or gave back money."""
        return await self._writer.read(lambda ledger: ledger.moved(after, until, limit))

    async def _decide(self, request: ProcessorRequest) -> Report:
        async with self._turns.take(request.attempt_id):
            entry = await self._writer.submit(Find(request.attempt_id))
            if isinstance(entry, Entry):
                return Report(replay(entry, request))
            journey = self._itinerary.draw(request)
            await self._pause(journey.before_s)
            if not journey.performs:
                return Report(NOT_DONE, journey.ending, journey.after_s)
            reply = await self._writer.submit(Perform(request))
            assert isinstance(reply, Approved | Declined | Failed | Unknown), reply
            return Report(reply, journey.ending, journey.after_s, is_new=not isinstance(reply, Unknown))

    async def _pause(self, pause_s: float) -> None:
        if pause_s > 0:
            await self._sleep(pause_s)
