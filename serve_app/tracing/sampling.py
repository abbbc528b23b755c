"""Which requests are traced: decided when they come, as their caller did, else by a share of all traces.

The share goes by the trace's id, so that every service with the same ratio keeps the same traces. Source:
OpenTelemetry specification, Trace SDK, TraceIdRatioBased and ParentBased.

To decide at the end, by what went wrong, would mean to record every request. What can be said then without having
recorded it is its first span, with its stages: that much is kept of failures and of slow requests, a few a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.runtime.traceparent import TraceParent

ASKED_PER_S = 10.0
"""Traces a second and process that callers may ask for beyond the ratio: whoever has a key could ask for all."""
FAILURES_PER_S = 10.0
SLOW_S = 1.0
_TRACE_ID_BITS = (1 << 64) - 1


@dataclass(slots=True)
class PerSecond:
    """A bucket of one second's worth."""

    rate: float
    _left: float = field(init=False)
    _at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._left = self.rate

    def take(self, now: float) -> bool:
        """Take one at a time of the monotonic clock, in seconds; False where there is none left."""
        self._left = min(self.rate, self._left + max(0.0, now - self._at) * self.rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Sampling:
    """Decides for one process."""

    def __init__(self, ratio: float) -> None:
        """``ratio`` is from 0 to 1."""
        self._below = round(ratio * (_TRACE_ID_BITS + 1))
        self._asked = PerSecond(ASKED_PER_S)
        self._failures = PerSecond(FAILURES_PER_S)

    def is_chosen(self, trace_id: int, parent: TraceParent | None, now: float) -> bool:
        """Say whether a request is traced. A caller that does not trace its own is taken at its word; one that does,
        as often as is allowed, and beyond that by the ratio."""
        if parent is not None and not parent.sampled:
            return False
        if trace_id & _TRACE_ID_BITS < self._below:
            return True
        return parent is not None and self._asked.take(now)

    def is_worth_a_span(self, status: int, took_s: float, now: float) -> bool:
        """Say whether a request that was not traced leaves its first span all the same: it failed, or was slow."""
        return (status >= 500 or took_s > SLOW_S) and self._failures.take(now)
