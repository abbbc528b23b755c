"""A processor behind its circuit breaker and its retry budget.

Whoever wants to begin an attempt is admitted first, before anything is written: so an attempt that was begun is never
refused by the breaker. Only charges decide about the breaker. What the resolver asks obeys it and does not move it: a
processor that answers questions may still not take money, and the other way round.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto

from actors.runtime.breaker import Breaker, BreakerPolicy, State
from actors.runtime.retry_budget import RetryBudget
from serve_app.domain.errors import ProcessorUnavailable
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    Lookup,
    LookupFailed,
    Outcome,
    Processor,
    ProcessorRequest,
    Refusal,
    Unknown,
)

TIMEOUT_S = 5.0
_PROBE_MARGIN_S = 1.0
_PROBE_RETRY_AFTER_S = 1.0
"""What others are told while a probe is out: it mostly ends in milliseconds, and is given seconds."""
_LEFT_ALONE = "processor_unavailable"
_OUR_OWN = frozenset({"connector_overloaded", "deadline_passed"})
"""What our side of the connection reports before anything is sent: it says nothing of the processor."""


def processor_policy(timeout_s: float = TIMEOUT_S) -> BreakerPolicy:
    """Return when to leave a processor alone that has ``timeout_s`` for an attempt.

    Ten failures in a row are four payments, each sent three times, and five timeouts: fewer would be met by chance
    where one call in a hundred times out, and a processor that is shut costs every merchant its sales.
    """
    return BreakerPolicy(
        failures_max=10,
        timeout_weight=2,
        pause_min_s=1.0,
        pause_max_s=10.0,
        # A probe is heard of within its own timeout.
        probe_timeout_s=timeout_s + _PROBE_MARGIN_S,
        successes_needed=3,
    )


class Judgement(Enum):
    """What an outcome says of the processor."""

    WORKS = auto()
    FAILS = auto()
    IS_SILENT = auto()
    NOTHING = auto()


def judge(outcome: Outcome, *, had_time: bool) -> Judgement:
    """Say what an outcome tells of the processor; ``had_time``: whether a timeout is its fault and not its caller's."""
    match outcome:
        case Approved() | Declined() | Failed(retryable=False):
            return Judgement.WORKS
        case Failed(code=code):
            return Judgement.NOTHING if code in _OUR_OWN else Judgement.FAILS
        case Unknown(reason="timeout"):
            return Judgement.IS_SILENT if had_time else Judgement.NOTHING
        case Unknown():
            return Judgement.FAILS


class Guarded:
    """Guard one processor in this process. It is itself a ``Processor``, for what was begun before: the resolver's."""

    def __init__(
        self,
        processor: Processor,
        breaker: Breaker | None = None,
        budget: RetryBudget | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a ``breaker`` it has one that no other process hears of; an attempt may take ``timeout_s``."""
        self._processor = processor
        self._breaker = breaker or Breaker(random.Random(), processor_policy(timeout_s))
        self._budget = budget or RetryBudget()
        self._patience_s = timeout_s / 2
        self._clock = clock
        self._asking = False
        self.judgements: Counter[Judgement] = Counter()
        """What was seen of the processor since the process started."""

    @property
    def name(self) -> str:
        return self._processor.name

    @property
    def can_refuse(self) -> bool:
        return self._processor.can_refuse

    @property
    def is_closed(self) -> bool:
        """Whether everybody is admitted."""
        return self._breaker.state is State.CLOSED

    def admit(self, *, counts: bool = True) -> Passage:
        """Let one attempt begin; one that does not ``count`` says nothing of the processor, and is never its probe.

        Raises:
            ProcessorUnavailable: the breaker is open, or another attempt is the probe.
        """
        now = self._clock()
        ticket = self._breaker.ask(now) if counts or self.is_closed else None
        if ticket is None:
            retry_after_s = self._breaker.retry_after_s(now)
            if self._breaker.state is State.HALF_OPEN:
                retry_after_s = min(retry_after_s, _PROBE_RETRY_AFTER_S)
            raise ProcessorUnavailable(self.name, retry_after_s)
        if counts:
            self._budget.called(now)
        return Passage(self, ticket if counts else None)

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        """Perform what was begun before; `Failed` and safe to repeat where the processor is left alone."""
        if not self._may_ask():
            return Failed(_LEFT_ALONE, retryable=True)
        async with _Asking(self):
            return await self._processor.perform(request, timeout_s=timeout_s)

    async def lookup(self, request: ProcessorRequest, *, timeout_s: float) -> Lookup:
        """Ask, one at a time while the breaker is not closed. Safe to repeat."""
        if not self._may_ask():
            return LookupFailed(_LEFT_ALONE)
        async with _Asking(self):
            return await self._processor.lookup(request, timeout_s=timeout_s)

    async def refuse(self, request: ProcessorRequest, *, timeout_s: float) -> Refusal:
        """Refuse, one at a time while the breaker is not closed. Safe to repeat."""
        if not self._may_ask():
            return LookupFailed(_LEFT_ALONE)
        async with _Asking(self):
            return await self._processor.refuse(request, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._processor.close()

    def _may_ask(self) -> bool:
        return self.is_closed or not self._asking

    async def _perform(self, ticket: int | None, request: ProcessorRequest, timeout_s: float) -> Outcome:
        outcome = await self._processor.perform(request, timeout_s=timeout_s)
        if ticket is not None:
            self._observe(ticket, judge(outcome, had_time=timeout_s >= self._patience_s))
        return outcome

    def _observe(self, ticket: int, judgement: Judgement) -> None:
        now = self._clock()
        self.judgements[judgement] += 1
        match judgement:
            case Judgement.WORKS:
                self._breaker.succeeded(ticket, now)
            case Judgement.FAILS:
                self._breaker.failed(ticket, now)
            case Judgement.IS_SILENT:
                self._breaker.failed(ticket, now, timed_out=True)
            case Judgement.NOTHING:
                self._breaker.unused(ticket, now)

    def _ticket_of_repeat(self) -> int | None:
        now = self._clock()
        ticket = self._breaker.ask(now)
        if ticket is not None and not self._budget.allows(now):
            self._breaker.unused(ticket, now)
            return None
        return ticket

    def _give_back(self, ticket: int) -> None:
        self._breaker.unused(ticket, self._clock())


class Passage:
    """What one attempt was let through with. Whoever got it sends with it or gives it back."""

    __slots__ = ("_counts", "_guarded", "_ticket")

    def __init__(self, guarded: Guarded, ticket: int | None) -> None:
        self._guarded = guarded
        self._counts = ticket is not None
        self._ticket = ticket

    async def perform(self, request: ProcessorRequest, *, timeout_s: float) -> Outcome:
        """Send, as `Processor.perform` does, and have the breaker see what comes of it."""
        ticket, self._ticket = self._ticket, None
        return await self._guarded._perform(ticket, request, timeout_s)

    def may_repeat(self) -> bool:
        """Say whether the attempt may be sent again: while the breaker lets it, and the retry budget.

        What the test tokens fail with costs no budget, for it is the same few tries each time and no storm.
        """
        if not self._counts:
            return True
        self._ticket = self._guarded._ticket_of_repeat()
        return self._ticket is not None

    def give_back(self) -> None:
        """End it, so that another may be the probe where nothing was sent. Safe to repeat."""
        if self._ticket is not None:
            self._guarded._give_back(self._ticket)
            self._ticket = None


class _Asking:
    """Holds the one place that there is for what obeys a breaker which is not closed."""

    __slots__ = ("_guarded", "_holds")

    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded
        self._holds = False

    async def __aenter__(self) -> None:
        self._holds = not self._guarded._asking
        self._guarded._asking = True

    async def __aexit__(self, *_: object) -> None:
        if self._holds:
            self._guarded._asking = False
