"""A retry budget: repeats stay a small share of the calls, so that they cannot multiply the load of what is failing."""

from __future__ import annotations

from actors.runtime.rolling import RollingCounts

SHARE_MAX = 0.2
RESERVE_PER_S = 2.0
WINDOW_S = 10.0


class RetryBudget:
    """Allow repeats up to ``share_max`` of the calls of the last ``window_s``, and ``reserve_per_s`` besides.

    Guaranteed: when a repeat is allowed, those of the last ``window_s`` are at most ``share_max`` * its calls +
    ``reserve_per_s`` * ``window_s``, to the width of a bucket. The reserve is for who calls so seldom that its share
    would be less than one. What is not used lapses with the window, so a quiet hour saves nothing up for a storm.
    Memory is constant; time is an argument, in seconds of a monotonic clock.

    Source: Twitter Finagle, RetryBudget (a token bucket whose deposits lapse after ``ttl``, with ``percentCanRetry``
    and ``minRetriesPerSec``); Google, Site Reliability Engineering, "Handling Overload", per-client retry budget.
    """

    __slots__ = ("_counts", "_reserve", "_share_max")

    def __init__(
        self, *, share_max: float = SHARE_MAX, reserve_per_s: float = RESERVE_PER_S, window_s: float = WINDOW_S
    ) -> None:
        assert 0 <= share_max <= 1
        assert reserve_per_s >= 0
        self._share_max = share_max
        self._reserve = reserve_per_s * window_s
        # Calls are the events, repeats the marked ones.
        self._counts = RollingCounts(window_s)

    def called(self, now: float) -> None:
        """Take note of a call that is no repeat."""
        self._counts.add(now)

    def allows(self, now: float) -> bool:
        """Tell whether one repeat may be made now; where it may, it is counted."""
        events, repeats = self._counts.totals(now)
        if repeats + 1 > self._share_max * (events - repeats) + self._reserve:
            return False
        self._counts.add(now, marked=True)
        return True
