"""The gate before the database: while it is away, what would have to wait for it is refused at once."""

from __future__ import annotations

import time
from collections.abc import Callable

from actors.pool.faults import RESOURCE, Sign
from actors.runtime.breaker import Breaker, BreakerPolicy
from actors.runtime.errors import Unavailable

# A server that restarts ends eight connections at once and refuses the ninth. The pauses find it within a second.
POLICY = BreakerPolicy(failures_max=5, timeout_weight=2, pause_min_s=0.1, pause_max_s=1.0)


class Gate:
    """Ask the breaker before new work, and show it what becomes of connections and statements.

    Work that was let in is never refused again here: its repeats take the ticket of the moment, so the first of them
    that succeeds closes the breaker as a probe does, and one that fails does not prolong the pause.
    """

    __slots__ = ("_breaker", "_clock")

    def __init__(self, breaker: Breaker, clock: Callable[[], float] = time.monotonic) -> None:
        self._breaker = breaker
        self._clock = clock

    def enter(self) -> None:
        """Let new work in, or raise ``Unavailable`` with the time to wait; nothing was done."""
        now = self._clock()
        if self._breaker.ask(now) is None:
            raise Unavailable(RESOURCE, "left alone after failures", self._breaker.retry_after_s(now))

    @property
    def ticket(self) -> int:
        """The ticket of what is sent now."""
        return self._breaker.ticket

    def saw(self, ticket: int, sign: Sign) -> None:
        """Take note of what became of something sent."""
        now = self._clock()
        if sign is Sign.WELL:
            self._breaker.succeeded(ticket, now)
        elif sign is Sign.NOTHING:
            self._breaker.unused(ticket, now)
        else:
            self._breaker.failed(ticket, now, timed_out=sign is Sign.SILENT)
