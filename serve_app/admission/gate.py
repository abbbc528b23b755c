"""Decides who is let in, who waits and who is sent away. Pure: no clock, no I/O.

Every request that is let in holds a place at the gateway. One that will call a processor holds a place there too, and
leaves the gateway's place to others while the processor works. Requests that need the same stand in one line.

Whether a newcomer may wait is decided when it arrives, by the wait that is to be expected: a refusal at once is worth
more to both sides than one after a wait in vain. The bound on the wait is that of controlled delay: as long as the line
now and then runs empty, a burst may wait for an interval, of some seconds; once the line has stood for that long, the
load does not pass, and half of it is allowed. That is more than controlled delay has for packets, because a thousand
clients who each send one request at a time are to wait for a second rather than be refused. A merchant who holds less
than his share of the places keeps the longer bound, so that another's flood does not turn him away.

Those who waited for a processor start one after the other, twice as fast as places come free on average. Where all
start the moment that others end, all end together again: the processor stands idle while they begin, and the loop while
they are there, and one wave follows the next.

Sources: Nichols, Jacobson, Controlling Queue Delay (ACM Queue 10:5, 2012); Maurer, Fail at Scale (ACM Queue 13:8,
2015); Little's law for the predicted wait; pacing as in BBR (Cardwell et al., ACM Queue 14:5, 2016).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Final

from serve_app.admission.line import WaitingLine
from serve_app.admission.refused import RefusedLately
from serve_app.admission.resource import Resource
from serve_app.admission.work import Work

PRIORITIES: Final = 2 * len(Work)
INTERVAL_MIN_S, INTERVAL_MAX_S = 2.0, 5.0
_PATIENCE_INTERVALS = 2.0
"""How long an expectation that was wrong is borne: places were held for longer than ever before, or more important work
kept coming."""
PATIENCE_MAX_S = _PATIENCE_INTERVALS * INTERVAL_MAX_S
_HOLDS_PER_INTERVAL = 3.0
_STANDING_PART = 0.5
_PACING_GAIN = 2.0
_PACING_SLACK_S = 0.005
"""How far a start that came late may be caught up with: timers are late by a few milliseconds."""
RETRY_MAX_S = 30.0


class State(Enum):
    """Where an entry is."""

    WAITING = auto()
    WORKING = auto()
    """It holds a place at the gateway, and one at its processor where it needs one."""
    AWAY = auto()
    """It is at its processor, and holds no place at the gateway."""
    FINISHING = auto()
    """It is back, and holds a place at the gateway alone."""
    GONE = auto()


class Reason(Enum):
    """Why a request was sent away."""

    WAIT = "wait"
    """It would have waited longer than is any use."""
    FULL = "queue_full"
    """As many wait as may."""
    OUTRANKED = "outranked"
    """It waited, the queue was full, and something more important came."""
    LATE = "waited_in_vain"
    """It waited longer than was expected."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was done; `retry_in_s` is when it is likely to be let in."""

    reason: Reason
    retry_in_s: float


class Entry:
    """A request at the gate."""

    __slots__ = (
        "away_at", "give_up_at", "kind", "merchant", "priority", "processor", "since", "started", "state", "worked_s",
    )  # fmt: skip

    def __init__(self, merchant: Hashable, kind: Hashable, priority: int, processor: str | None, now: float) -> None:
        self.merchant = merchant
        self.kind = kind
        self.priority = priority
        self.processor = processor
        self.state = State.WAITING
        self.since = now
        self.give_up_at = now
        self.started = 0.0
        self.away_at = 0.0
        self.worked_s = 0.0


class _Line:
    """Those who need the same: the gateway alone, or the gateway and one processor."""

    def __init__(self, processor: Resource | None) -> None:
        self.processor = processor
        self.waiting: WaitingLine[Entry] = WaitingLine(PRIORITIES)
        self.held: Counter[Hashable] = Counter()
        self.standing_since: list[float | None] = [None] * PRIORITIES
        self.refused = RefusedLately()
        self.next_start_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether whoever waits here waits for no place at the processor."""
        return bool(self.waiting) and (self.processor is None or self.processor.has_room)

    def paced(self, now: float) -> None:
        """Note that one of those who waited starts."""
        if self.processor is not None:
            pace_s = self.processor.per_place_s / _PACING_GAIN
            self.next_start_at = max(self.next_start_at, now - max(_PACING_SLACK_S, pace_s)) + pace_s

    def release(self, merchant: Hashable) -> None:
        self.held[merchant] -= 1
        if not self.held[merchant]:
            del self.held[merchant]


class Gate:
    """Lets requests in; told the time, and how late the process's loop is."""

    def __init__(
        self, gateway: Resource, processors: Mapping[str, Resource], *, waiting_max: int, draw: Random | None = None
    ) -> None:
        self.gateway = gateway
        self._draw = draw or Random()
        self._waiting_max = waiting_max
        self._waiting = 0
        self._lines: dict[str | None, _Line] = {None: _Line(None)}
        self._lines.update((name, _Line(resource)) for name, resource in processors.items())

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    def arrive(
        self,
        merchant: Hashable,
        kind: Hashable,
        priority: int,
        processor: str | None,
        now: float,
        left_s: float = math.inf,
    ) -> tuple[Entry | Refusal, Entry | None]:
        """Let a request in (it is WORKING then), have it wait, or refuse it; `left_s` is the time that it has.

        The second value is an entry that had to leave its place in the queue, None as a rule.
        """
        line = self._lines[processor]
        entry = Entry(merchant, kind, priority, processor, now)
        if not line.waiting and self._has_room(line):
            self._start(line, entry, now)
            return entry, None
        expected_s = self._expected_wait_s(line, priority, merchant)
        interval_s = self._interval_s(line)
        if expected_s > min(left_s, self._bound_s(line, priority, merchant, interval_s, now)):
            return self._refusal(line, Reason.WAIT, expected_s, now), None
        evicted = None
        if self._waiting >= self._waiting_max:
            evicted = self._least_missed(priority)
            if evicted is None:
                return self._refusal(line, Reason.FULL, expected_s, now), None
            self.withdraw(evicted)
        entry.give_up_at = now + min(left_s, _PATIENCE_INTERVALS * interval_s)
        if line.standing_since[priority] is None:
            line.standing_since[priority] = now
        line.waiting.add(entry)
        self._waiting += 1
        return entry, evicted

    def away(self, entry: Entry, now: float) -> Sequence[Entry]:
        """Give the gateway's place up while the processor works; return who starts instead."""
        assert entry.state is State.WORKING
        assert entry.processor is not None
        entry.state = State.AWAY
        entry.away_at = now
        entry.worked_s += now - entry.since
        self.gateway.give_back()
        return self.fill(now)

    def back(self, entry: Entry, now: float, late_s: float = 0.0) -> Sequence[Entry]:
        """Come back from the processor, whose place is free from now on; return who starts instead.

        This waits for nobody, for money may have moved.
        """
        assert entry.state is State.AWAY
        entry.state = State.FINISHING
        entry.since = now
        self.gateway.take()
        line = self._lines[entry.processor]
        assert line.processor is not None
        line.processor.sample(entry.kind, now - entry.away_at, now, late_s)
        self._leave_processor(line, entry, now)
        return self.fill(now)

    def leave(self, entry: Entry, now: float, *, counts: bool = True) -> Sequence[Entry]:
        """Give back whatever the entry holds; return who starts instead. Safe to repeat.

        `counts`: whether its time says something of the work, which that of one that was cut short does not.
        """
        if entry.state is State.GONE:
            return ()
        if entry.state is State.WAITING:
            self.withdraw(entry)
            return ()
        if entry.state is not State.AWAY:
            if counts:
                worked_s = entry.worked_s + now - entry.since
                self.gateway.sample(entry.kind, worked_s, now, 0.0)
                self.gateway.was_held(worked_s)
            self.gateway.give_back()
        if entry.state is not State.FINISHING:
            self._leave_processor(self._lines[entry.processor], entry, now)
        entry.state = State.GONE
        return self.fill(now)

    def _leave_processor(self, line: _Line, entry: Entry, now: float) -> None:
        if line.processor is not None:
            line.processor.was_held(now - entry.started)
            line.processor.give_back()
        line.release(entry.merchant)

    def next_start_at(self) -> float | None:
        """Return when somebody who waits may start though no place comes free until then; None: nobody may."""
        if not self._waiting or not self.gateway.has_room:
            return None
        return min((line.next_start_at for line in self._lines.values() if line.is_open), default=None)

    def withdraw(self, entry: Entry) -> None:
        """Take a waiting entry out of its line."""
        assert entry.state is State.WAITING
        line = self._lines[entry.processor]
        line.waiting.remove(entry)
        entry.state = State.GONE
        self._waiting -= 1
        if not line.waiting.count(entry.priority):
            line.standing_since[entry.priority] = None

    def give_up(self, entry: Entry, now: float, reason: Reason) -> Refusal:
        """Refuse an entry that waits, or waited until another took its place."""
        if entry.state is State.WAITING:
            self.withdraw(entry)
        line = self._lines[entry.processor]
        return self._refusal(line, reason, self._expected_wait_s(line, entry.priority, entry.merchant), now)

    def _has_room(self, line: _Line) -> bool:
        return self.gateway.has_room and (line.processor is None or line.processor.has_room)

    def _start(self, line: _Line, entry: Entry, now: float) -> None:
        entry.state = State.WORKING
        entry.since = entry.started = now
        self.gateway.take()
        if line.processor is not None:
            line.processor.take()
        line.held[entry.merchant] += 1

    def fill(self, now: float) -> Sequence[Entry]:
        """Start those whose turn it is, as long as there is room, and return them."""
        if not self._waiting:
            return ()
        started: list[Entry] = []
        while self.gateway.has_room:
            best: Entry | None = None
            for line in self._lines.values():
                if line.is_open and line.next_start_at <= now:
                    first = line.waiting.first(line.held.__getitem__)
                    if first is not None and (best is None or _rank(first) < _rank(best)):
                        best = first
            if best is None:
                break
            line = self._lines[best.processor]
            self.withdraw(best)
            self._start(line, best, now)
            line.paced(now)
            started.append(best)
        return started

    def _expected_wait_s(self, line: _Line, priority: int, merchant: Hashable) -> float:
        wait_s = 0.0
        if line.processor is not None and (line.waiting or not line.processor.has_room):
            wait_s = (line.waiting.ahead_of(priority, merchant) + 1) * line.processor.per_place_s
        if not self.gateway.has_room:
            ahead = sum(each.waiting.ahead_of(priority, merchant) for each in self._lines.values())
            wait_s = max(wait_s, (ahead + 1) * self.gateway.per_place_s)
        return wait_s

    def _interval_s(self, line: _Line) -> float:
        hold_s = max(self.gateway.mean_hold_s, line.processor.mean_hold_s if line.processor is not None else 0.0)
        return min(INTERVAL_MAX_S, max(INTERVAL_MIN_S, _HOLDS_PER_INTERVAL * hold_s))

    def _bound_s(self, line: _Line, priority: int, merchant: Hashable, interval_s: float, now: float) -> float:
        """Return how long a newcomer may expect to wait. What is less important and stands in line does not count."""
        since = line.standing_since[priority]
        if since is None or now - since <= interval_s:
            return interval_s
        limit = (line.processor or self.gateway).limit.current
        holders = len(line.held) + (merchant not in line.held)
        if holders > 1 and line.held[merchant] < limit / holders:
            return interval_s
        return interval_s * _STANDING_PART

    def _least_missed(self, priority: int) -> Entry | None:
        """Return the entry that makes way for one of this priority, None where all are as important."""
        last = [entry for line in self._lines.values() if (entry := line.waiting.last()) is not None]
        worst = max(last, key=_rank, default=None)
        return worst if worst is not None and worst.priority > priority else None

    def _refusal(self, line: _Line, reason: Reason, expected_s: float, now: float) -> Refusal:
        """Refuse; those that are refused now come back together, so the time to come back is spread over what it takes
        to serve all of them."""
        resource = line.processor or self.gateway
        lately = line.refused.note(now)
        spread_s = lately * resource.per_place_s
        return Refusal(reason, min(RETRY_MAX_S, expected_s + self._draw.uniform(0, spread_s)))


def _rank(entry: Entry) -> tuple[int, float]:
    return entry.priority, entry.since
