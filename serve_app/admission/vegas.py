"""How much may run at once at a resource: found out from how long it takes, or fixed.

Of `limit` requests at a resource, about `limit * (1 - usual / time)` wait inside of it, where `usual` is what a request
takes when nothing waits. Once in a window of measurements:

| waiting inside | next limit |
|---|---|
| at most log10(limit) | twice the limit until anything has waited for the first time, then limit + 6 log10(limit) |
| less than 3 log10(limit) | limit + log10(limit) |
| more than 6 log10(limit) | less by what waits beyond that, but by no more than a quarter |
| between | the same |

It rises only where at least half of it was used. Vegas takes the least time ever seen for the usual one, and so takes
mere jitter for a queue: with times of 200 ms +- 10 % it stayed at 70 where 1,000 would have passed. Here both times are
geometric means, which single slow ones hardly move, each over its own kind of work, so that kinds can be mixed. What
the process's own loop was late counts as no waiting elsewhere.

Under a load that never ends nothing is ever seen without a queue, and what was taken for usual would creep up. So every
`PROBE_EVERY_S` the limit is halved for the time of a few requests, and the usual time is measured anew; where that was
far off, again soon.

Sources: Brakmo, O'Malley, Peterson, TCP Vegas (SIGCOMM 1994); Netflix concurrency-limits, VegasLimit; the halving as in
BBR's ProbeRTT (Cardwell et al., ACM Queue 14:5, 2016).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

WINDOW_MIN_S = 0.1
SAMPLES_MIN = 10
PROBE_EVERY_S = 15.0
PROBE_FIRST_S = 3.0
PROBE_AGAIN_S = 1.0
WINDOW_MAX_S = 2.5
"""Where single requests take longer than that, a window and a probe end all the same."""
_FALL_MAX = 0.25
_FAR_OFF = 0.8
_LOWER_WEIGHT = 0.3
_KIND_SAMPLES_MIN = 5


class Limit(Protocol):
    """How much may run at once."""

    @property
    def current(self) -> int:
        """The limit as it is now."""
        ...

    def sample(self, kind: Hashable, took_s: float, in_flight: int, now: float, *, late_s: float = 0.0) -> None:
        """Learn how long one request took. `in_flight`: how many ran when it ended, itself included."""
        ...


class FixedLimit:
    """The same number always."""

    def __init__(self, limit: int) -> None:
        assert limit > 0
        self.current = limit

    def sample(self, kind: Hashable, took_s: float, in_flight: int, now: float, *, late_s: float = 0.0) -> None:
        """Learn nothing."""


class _Phase(Enum):
    STEADY = auto()
    DRAINING = auto()
    MEASURING = auto()


@dataclass(slots=True)
class _Kind:
    """What is known of one kind of work: its usual time, 0 before its first window, and the logarithms of this window's
    times."""

    usual_s: float = 0.0
    count: int = 0
    logs: float = 0.0


class VegasLimit:
    """A limit between two bounds. Constant memory: a few numbers for each of the few kinds of work."""

    def __init__(self, *, initial: int, least: int, most: int) -> None:
        assert 1 <= least <= initial <= most
        self._min, self._max = least, most
        self._limit = float(initial)
        self._kinds: dict[Hashable, _Kind] = {}
        self._starting = True
        self._phase = _Phase.STEADY
        self._restore = self._limit
        self._probe_at: float | None = None
        self._samples = 0
        self._excess = 0.0
        self._seconds = 0.0
        self._peak = 0
        self._window_ends = 0.0

    @property
    def current(self) -> int:
        """The limit as it is now."""
        return int(self._limit)

    def sample(self, kind: Hashable, took_s: float, in_flight: int, now: float, *, late_s: float = 0.0) -> None:
        """Learn how long one request took."""
        took_s = max(took_s, 1e-6)
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _Kind()
        known.count += 1
        known.logs += math.log(took_s)
        self._samples += 1
        if known.usual_s:
            self._excess += math.log(took_s / (known.usual_s + late_s))
        self._seconds += took_s
        self._peak = max(self._peak, in_flight)
        if now >= self._window_ends and self._samples >= SAMPLES_MIN:
            self._end_window(now)

    def _end_window(self, now: float) -> None:
        if self._phase is _Phase.STEADY:
            self._adjust(math.exp(-max(0.0, self._excess / self._samples)))
        self._step_probe(now)
        # What was changed shows in the times only once the requests that it let in have ended.
        self._window_ends = now + min(WINDOW_MAX_S, max(WINDOW_MIN_S, 1.25 * self._seconds / self._samples))
        self._learn()
        self._samples = 0
        self._excess = 0.0
        self._seconds = 0.0
        self._peak = 0

    def _adjust(self, ratio: float) -> None:
        limit = self._limit
        step = math.log10(limit) if limit > 10 else 1.0
        waiting = limit * (1 - ratio)
        if waiting > step:
            self._starting = False
        if waiting > 6 * step:
            limit -= min(limit * _FALL_MAX, waiting - 6 * step)
        elif self._peak * 2 < limit:
            return
        elif waiting <= step:
            limit += limit if self._starting else 6 * step
        elif waiting < 3 * step:
            limit += step
        self._limit = min(self._max, max(self._min, limit))

    def _learn(self) -> None:
        """Take this window's times for usual where they are shorter, a little each time, for one window may be luck."""
        for kind in self._kinds.values():
            if kind.count < _KIND_SAMPLES_MIN:
                continue
            mean_s = math.exp(kind.logs / kind.count)
            if not kind.usual_s:
                kind.usual_s = mean_s
            elif mean_s < kind.usual_s:
                kind.usual_s += _LOWER_WEIGHT * (mean_s - kind.usual_s)
            kind.count = 0
            kind.logs = 0.0

    def _step_probe(self, now: float) -> None:
        if self._probe_at is None:
            self._probe_at = now + PROBE_FIRST_S
        if self._phase is _Phase.STEADY:
            if now >= self._probe_at:
                self._phase, self._restore = _Phase.DRAINING, self._limit
                self._limit = max(float(self._min), self._limit / 2)
        elif self._phase is _Phase.DRAINING:
            # What was let in before the limit fell has ended in the window that ends here.
            self._phase = _Phase.MEASURING
        else:
            was_far_off = self._measure()
            self._phase, self._limit = _Phase.STEADY, self._restore
            self._probe_at = now + (PROBE_AGAIN_S if was_far_off else PROBE_EVERY_S)

    def _measure(self) -> bool:
        """Take what was measured for usual; return whether what was taken for it before was far too long."""
        was_far_off = False
        for kind in self._kinds.values():
            if kind.count >= _KIND_SAMPLES_MIN:
                mean_s = math.exp(kind.logs / kind.count)
                was_far_off = was_far_off or mean_s < _FAR_OFF * kind.usual_s
                kind.usual_s = mean_s
        return was_far_off
