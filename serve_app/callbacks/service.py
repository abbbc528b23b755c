"""What becomes of a callback: the attempt that it names is settled at once, and not by what the callback says.

A callback is a hint. It tells which attempt is worth asking about; the outcome comes from the processor, asked by the
attempt's id as the resolver asks. So there is one source of truth and one way into the books, the order in which
callbacks come does not matter, for each is answered by what is true now, and whoever learns a callback's secret can
have attempts asked about and nothing else: no payment is captured, declined or failed by a message. That costs a call
to the processor, for the attempts alone that are still open: most are concluded before their callback comes.

What makes a message count once is the attempt, which is concluded once, whichever process hears of it. Message ids are
remembered besides, to save the work.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from actors.runtime.clock import Clock
from actors.runtime.errors import Overloaded
from actors.runtime.tallies import Counters, Tallies
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.repository import AttemptRepository, OpenAttempt
from serve_app.callbacks.seen import SeenMessages
from serve_app.callbacks.signatures import TOLERANCE_S

CALLBACKS = "processor_callbacks"
_RUNNING_MAX = 256
"""Attempts that are being settled in this process; each waits for its processor, for five seconds at most."""
_RETRY_AFTER_S = 1.0


class Receipt(StrEnum):
    """What came of a callback."""

    CONCLUDED = "concluded"
    NOTHING_TO_DO = "nothing_to_do"
    """The attempt was concluded before, or is none of ours."""
    REPEATED = "repeated"
    """The message was done with before."""
    NOT_YET = "not_yet"
    """The processor does not tell the outcome: the attempt stays open."""


class Resolver(Protocol):
    """Who finds out the truth about an attempt."""

    async def settle(self, attempt: OpenAttempt) -> bool:
        """Ask about it at once; say whether it is final now."""


class ProcessorCallbacks:
    """Settles attempts that their processors have finished."""

    def __init__(self, attempts: AttemptRepository, resolver: Resolver, owned: OwnedWork, clock: Clock) -> None:
        self._attempts = attempts
        self._resolver = resolver
        self._owned = owned
        self._clock = clock
        # A message may be signed ahead of time by the tolerance, and sent again until it is behind by as much.
        self._seen = SeenMessages(keep_s=2 * TOLERANCE_S)
        self._running: dict[tuple[str, UUID], asyncio.Task[Receipt]] = {}
        self._counters = Counters()

    async def receive(self, processor: str, message_id: str, attempt_id: UUID | None) -> Receipt:
        """Settle the attempt; None is the id of no attempt. Safe to repeat, and to cancel.

        Raises:
            Overloaded: too many are being settled; repeat.
            ActorError, DomainError: the database or the cache is away; repeat.
        """
        if self._seen.has(processor, message_id, self._clock.monotonic()):
            return self._counted(processor, Receipt.REPEATED)
        receipt = Receipt.NOTHING_TO_DO if attempt_id is None else await self._shared(processor, attempt_id)
        if receipt is not Receipt.NOT_YET:
            self._seen.add(processor, message_id, self._clock.monotonic())
        return self._counted(processor, receipt)

    def tallies(self) -> Tallies:
        """Return how many came, by processor and receipt."""
        return self._counters.tallies()

    async def _shared(self, processor: str, attempt_id: UUID) -> Receipt:
        """Settle an attempt, once for all messages about it that come meanwhile, and whoever hangs up."""
        key = processor, attempt_id
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= _RUNNING_MAX:
                raise Overloaded("callbacks", _RETRY_AFTER_S)
            running = self._running[key] = self._owned.go_on(self._settle(processor, attempt_id))
            running.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(running)

    async def _settle(self, processor: str, attempt_id: UUID) -> Receipt:
        attempt = await self._attempts.find_open(processor, attempt_id)
        if attempt is None:
            return Receipt.NOTHING_TO_DO
        return Receipt.CONCLUDED if await self._resolver.settle(attempt) else Receipt.NOT_YET

    def _counted(self, processor: str, receipt: Receipt) -> Receipt:
        self._counters.add(CALLBACKS, processor, receipt.value)
        return receipt
