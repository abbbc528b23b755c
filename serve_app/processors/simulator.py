"""The processor simulated in process: the test tokens, seeded latency and failures, no money.

Its memory is this process's own and bounded. It enforces what it knows of an authorization (no capture after
a void, no refund past the amount) and accepts what it cannot know, because another process authorized it or
because it was long ago. Of an attempt it has never seen it answers what the token itself tells
(`tok_timeout_charged` was charged), otherwise that it was not found. Where books must be compared, use the
acquirer, which has one ledger for everyone.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.books import AcquirerBooks, Charge, Entry, replay
from serve_app.processors.journey import Ending, Itinerary, Journey
from serve_app.processors.protocol import (
    Definite,
    Failed,
    Lookup,
    LookupFailed,
    NotFound,
    Outcome,
    Pending,
    ProcessorRequest,
    Refusal,
    Refused,
    Unknown,
)
from serve_app.processors.tokens import Behaviour, lookup_token
from serve_app.processors.turns import Turns

NOT_DONE = Failed("processor_error", retryable=True)
_TIMEOUT = Unknown("timeout")
_RESET = Unknown("connection_reset")


class MemoryShelf:
    """Keep the newest `entries_max` entries, and as many charges, in memory.

    In ordered dictionaries: the first key of a plain one is found by walking over all that were deleted before it.
    """

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._charges: OrderedDict[str, Charge] = OrderedDict()

    def entry(self, attempt_id: str) -> Entry | None:
        return self._entries.get(attempt_id)

    def charge(self, reference: str) -> Charge | None:
        return self._charges.get(reference)

    def add_entry(self, entry: Entry) -> None:
        self._entries[entry.attempt_id] = entry
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def put_charge(self, charge: Charge) -> None:
        self._charges[charge.reference] = charge
        if len(self._charges) > self._entries_max:
            self._charges.popitem(last=False)


class Simulator:
    """Play a processor in this process. Idempotent by attempt id as far as its memory reaches.

    Without latency and failures it answers within the same turn of the event loop. `sleep` is the only clock.
    """

    can_refuse = True

    def __init__(
        self,
        name: str = "simulator",
        *,
        latency_ms: float = 0.0,
        jitter_ms: float = 0.0,
        failure_rate: float = 0.0,
        seed: int = 0,
        entries_max: int = 50_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._books = AcquirerBooks(MemoryShelf(entries_max), knows_all=False)
        self._itinerary = Itinerary(latency_ms=latency_ms, jitter_ms=jitter_ms, failure_rate=failure_rate, seed=seed)
        self._turns = Turns()
        self._sleep = sleep

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        """Perform as the token and the drawn journey say. Safe to repeat."""
        async with self._turns.take(request.attempt_id):
            entry = self._books.find(request.attempt_id)
            if entry is not None:
                return replay(entry, request)
            journey = self._itinerary.draw(request)
            if journey.before_s >= timeout_s:
                return await self._time_out(timeout_s)
            await self._pause(journey.before_s)
            outcome = self._books.perform(request) if journey.performs else NOT_DONE
        return await self._answer(outcome, journey, timeout_s - journey.before_s)

    async def lookup(self, request: ProcessorRequest, *, timeout_s: float) -> Lookup:  # noqa: ARG002
        """Answer from memory, else from the token. Safe to repeat."""
        if self._turns.is_taken(request.attempt_id):
            return Pending()
        match self._recorded(request):
            case None:
                return NotFound()
            case Refused():
                return Failed("refused", retryable=False)
            case result:
                return result

    async def refuse(self, request: ProcessorRequest, *, timeout_s: float) -> Refusal:
        """Forbid the attempt in this process once it is not being performed. Safe to repeat."""
        try:
            async with asyncio.timeout(timeout_s), self._turns.take(request.attempt_id):
                return self._recorded(request) or self._books.refuse(request.attempt_id)
        except TimeoutError:
            return LookupFailed("timeout")

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _recorded(self, request: ProcessorRequest) -> Definite | Refused | None:
        if _token_tells(request):
            self._books.perform(request)
        entry = self._books.find(request.attempt_id)
        return None if entry is None else entry.result

    async def _answer(self, outcome: Outcome, journey: Journey, left_s: float) -> Outcome:
        if journey.ending is Ending.RESET:
            return _RESET
        if journey.ending is Ending.SILENCE or journey.after_s >= left_s:
            return await self._time_out(left_s)
        await self._pause(journey.after_s)
        return outcome

    async def _time_out(self, left_s: float) -> Unknown:
        await self._pause(left_s)
        return _TIMEOUT

    async def _pause(self, pause_s: float) -> None:
        if pause_s > 0:
            await self._sleep(pause_s)


def _token_tells(request: ProcessorRequest) -> bool:
    card = lookup_token(request.token)
    if card is None or request.kind is not AttemptKind.AUTHORIZE:
        return False
    return card.behaviour is Behaviour.TIMEOUT_CHARGED
