"""What a pool does with its connections, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.pool.sizing import Load
from actors.runtime.histogram import Histogram

OPERATIONS_MAX = 200
OTHER = "other"
# So that one slow statement in a hundred does not make a wait look hopeless for long.
_SMOOTHING = 1 / 32
# What somebody keeps for longer says nothing of how soon the others give theirs back.
_LONG_S = 1.0
# Before that many uses nothing is said of how long they take: the first on each connection prepare their statements.
_KNOWN_AFTER = 200


@dataclass(frozen=True, slots=True)
class Figures:
    """The counters of one pool since it was made, and what it has now. Seconds throughout."""

    size: int = 0
    in_use: int = 0
    idle: int = 0
    waiting: int = 0
    uses: int = 0
    wait: Histogram = field(default_factory=Histogram)
    """waits of those that had to, for the connection that they got"""
    statements: dict[str, Histogram] = field(default_factory=dict)
    """how long a connection was in use, by operation"""
    connects: int = 0
    closes: dict[str, int] = field(default_factory=dict)
    """by reason: aged, broken, surplus, cut short"""
    refused: dict[str, int] = field(default_factory=dict)
    """by reason: hopeless, full, late, held"""

    @property
    def utilisation(self) -> float:
        """The part of the connections that is in use, 0 where there are none."""
        return self.in_use / self.size if self.size else 0.0


class Usage:
    """Counts the uses of a pool's connections. A use that did not wait costs one record of a histogram."""

    __slots__ = (
        "_busy_s", "_service_s", "_statements", "_waits",
        "arrivals", "closes", "connects", "refused", "uses",
    )  # fmt: skip

    def __init__(self) -> None:
        self.arrivals = 0
        self.uses = 0
        self.connects = 0
        self.closes: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._busy_s = 0.0
        self._service_s = 0.0
        self._waits = Histogram()
        self._statements: dict[str, Histogram] = {}

    @property
    def service_s(self) -> float | None:
        """How long a use takes of late on average, None where too few are known."""
        return self._service_s if self.uses >= _KNOWN_AFTER else None

    @property
    def waits(self) -> Histogram:
        """The waits of those that had to, since the pool was made; not to be changed."""
        return self._waits

    @property
    def statements(self) -> Mapping[str, Histogram]:
        """How long a connection was in use, by operation, since the pool was made; not to be changed."""
        return self._statements

    def waited(self, seconds: float) -> None:
        """Count a wait that ended with a connection."""
        self._waits.record(seconds)

    def used(self, operation: str, seconds: float) -> None:
        """Count a use that ended."""
        self.uses += 1
        self._busy_s += seconds
        self._service_s += (min(seconds, _LONG_S) - self._service_s) * max(_SMOOTHING, 1 / self.uses)
        statement = self._statements.get(operation)
        if statement is None:
            if len(self._statements) >= OPERATIONS_MAX:
                operation = OTHER
            statement = self._statements.setdefault(operation, Histogram())
        statement.record(seconds)

    def figures(self, *, size: int, in_use: int, idle: int, waiting: int) -> Figures:
        """Return everything, with what the pool has now."""
        return Figures(
            size,
            in_use,
            idle,
            waiting,
            self.uses,
            _copy(self._waits),
            {name: _copy(histogram) for name, histogram in self._statements.items()},
            self.connects,
            dict(self.closes),
            dict(self.refused),
        )

    def mark(self, now: float) -> Mark:
        """Return the counters at this moment, from which a load can be measured later."""
        return Mark(now, self.arrivals, self.uses, self._busy_s, _copy(self._waits))

    def load(self, since: Mark, now: float, *, in_use: int, waiting: int, longest_wait_s: float) -> Load:
        """Return the load since a mark."""
        seconds = max(1e-6, now - since.at)
        arrivals = self.arrivals - since.arrivals
        uses = self.uses - since.uses
        waits = self._waits.since(since.waits)
        # Those that did not wait count too: a wait is the 99th percentile only if one in a hundred waited.
        part = 1 - 0.01 * arrivals / waits.count if waits.count else 0.0
        waited_s = (waits.quantile(part) or 0.0) if part > 0 else 0.0
        return Load(
            arrival_rate=arrivals / seconds,
            service_s=(self._busy_s - since.busy_s) / uses if uses else self._service_s,
            busy=in_use,
            wait_p99_s=max(waited_s, longest_wait_s),
            waiting=waiting,
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """Counters of a pool at one moment."""

    at: float
    arrivals: int
    uses: int
    busy_s: float
    waits: Histogram


def _copy(histogram: Histogram) -> Histogram:
    copy = Histogram()
    copy.add(histogram)
    return copy
