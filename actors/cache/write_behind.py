"""A shard's journal at work: a write is acknowledged once Redis has it, and a sink applies it soon after.

Nothing of it stands in the way of reads: while Redis, or what the sink writes to, is away, the shard serves all the
same, and only records are refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.cache.level2.journal import GROUP_MAX, Entry, Journal, NotOwner
from actors.cache.messages import RECORDS_MAX
from actors.runtime.errors import ActorError, DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable

RETRY_AFTER_S = 1.0
# Whoever asks for the state of a shard waits a second for all of it.
_STATE_WITHIN_S = 0.3
# A defect waits for somebody who mends it.
_DEFECT_PAUSE_S = 30.0
_PASSING = (Unavailable, OutcomeUnknown, Overloaded, DeadlineExceeded)
assert RECORDS_MAX <= GROUP_MAX, "what is recorded in one call is appended all or none"

_logger = logging.getLogger(__name__)


class JournalSink(Protocol):
    """Where the entries of one journal go. It knows the last one that it has applied."""

    async def take(self, owner: int) -> tuple[int, int]:
        """Note who the owner is; return the ``Entry.order`` of the last entry applied, (0, 0) before the first.

        Safe to repeat. Raises NotOwner where one of a higher number has been here, and ``ActorError``.
        """
        ...

    async def apply(self, entries: Sequence[Entry]) -> None:
        """Apply those that are above the last one applied, all or none, and remember the last.

        Whatever it raises, it is given the same entries again.
        """
        ...


@dataclass(frozen=True, slots=True)
class JournalState:
    """How a journal does. ``unapplied`` is None where Redis does not say; ``fault`` is why nothing is recorded or
    applied at the moment, empty while all is well."""

    unapplied: int | None
    fault: str


class WriteBehind:
    """One shard's writes on their way to their sink. Bound to one loop.

    Guaranteed for what ``record`` has acknowledged, as far as Redis keeps what it was given: it reaches the sink, for
    each key in the order of the acknowledgements, whichever process of the shard dies when; and the sink, which skips
    what it has applied, applies it once.

    ``owner`` is the number of this start of the shard, higher than that of any start before: by it one of two processes
    that believe themselves the shard gives way.
    """

    def __init__(self, name: str, journal: Journal, sink: JournalSink, *, owner: int) -> None:
        self._name = name
        self._journal = journal
        self._sink = sink
        self._owner = owner
        self._is_open = False
        self._fault = "the journal is not open yet"

    async def record(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Take up to ``RECORDS_MAX`` pairs of key and payload, all or none; when it returns Redis has them.

        Raises Unavailable and Overloaded: nothing was done. Raises OutcomeUnknown where they may have been taken: to
        repeat it may take them twice.
        """
        assert len(entries) <= RECORDS_MAX
        if not self._is_open:
            raise Unavailable(self._name, self._fault, RETRY_AFTER_S)
        try:
            await self._journal.append(entries)
        except NotOwner as lost:
            # ``run`` finds that out too, and what to do about it.
            raise Unavailable(self._name, str(lost), RETRY_AFTER_S) from None

    async def run(self) -> None:
        """Own the journal and have its entries applied, until cancelled or until a later start of the shard owns it."""
        while True:
            pause_s = RETRY_AFTER_S
            try:
                await self._own()
                await self._journal.run(self._apply)
            except _Superseded:
                self._note("a later start of the shard has the journal")
                return
            except NotOwner as lost:
                # Redis has lost its data, or has an older owner back with an older state, or there is a later one.
                self._note(str(lost))
            except _PASSING as away:
                self._note(str(away))
            except Exception as defect:
                # A seal that does not open, for one. Nothing is removed from the journal, and somebody may mend it.
                self._note(f"{type(defect).__name__}: {defect}", defect)
                pause_s = _DEFECT_PAUSE_S
            finally:
                self._is_open = False
            await asyncio.sleep(pause_s)

    async def state(self) -> JournalState:
        """Tell how it does."""
        try:
            async with asyncio.timeout(_STATE_WITHIN_S):
                unapplied = await self._journal.depth()
        except (Unavailable, TimeoutError):
            return JournalState(None, self._fault or "Redis does not answer")
        return JournalState(unapplied, self._fault or str(self._journal.last_failure or ""))

    async def close(self) -> None:
        """Close the journal. Cancel ``run`` before."""
        await self._journal.close()

    async def _own(self) -> None:
        try:
            applied = await self._sink.take(self._owner)
        except NotOwner:
            raise _Superseded from None
        await self._journal.open(applied)
        self._is_open = True
        self._note("")

    async def _apply(self, entries: Sequence[Entry]) -> None:
        try:
            await self._sink.apply(entries)
        except Exception as error:
            # The journal gives it the same entries again.
            is_foreseen = isinstance(error, ActorError)
            self._note(f"not applied: {error if is_foreseen else type(error).__name__}", None if is_foreseen else error)
            raise
        self._note("")

    def _note(self, fault: str, defect: Exception | None = None) -> None:
        """Keep what is wrong, and log it once."""
        if fault != self._fault:
            if fault:
                _logger.warning("%s: %s", self._name, fault, exc_info=defect)
            elif self._is_open:
                _logger.info("%s records and applies writes", self._name)
        self._fault = fault


class _Superseded(Exception):
    """Another process is the shard now."""
