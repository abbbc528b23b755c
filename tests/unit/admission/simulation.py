"""Gates of several processes before one slow processor, in virtual time: arrivals, service and what clients saw."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from serve_app.admission.gate import Entry, Gate, Reason, Refusal, State
from serve_app.admission.resource import Resource
from serve_app.admission.vegas import Limit, VegasLimit
from serve_app.admission.work import Work

PROCESSOR = "processor"


@dataclass(frozen=True, slots=True)
class Source:
    """Poisson arrivals of one merchant's requests of one kind, from one moment to another."""

    merchant: str
    work: Work
    per_s: float
    until_s: float
    from_s: float = 0.0
    service_s: float | None = None


@dataclass(slots=True)
class Seen:
    """What the clients of one source saw; times in seconds."""

    offered: int = 0
    served_at: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    refused_after: list[float] = field(default_factory=list)
    retry_in: list[float] = field(default_factory=list)

    def goodput(self, start: float, end: float) -> float:
        """Return requests served per second between two moments."""
        return sum(start <= at < end for at in self.served_at) / (end - start)


def gate_of(limit: Callable[[], Limit], *, waiting_max: int = 1000, seed: int = 1) -> Gate:
    """Return a gate whose gateway is never the bottleneck."""
    gateway = Resource("gateway", VegasLimit(initial=64, least=32, most=256), expected_s=0.01)
    return Gate(
        gateway,
        {PROCESSOR: Resource(PROCESSOR, limit(), expected_s=0.2)},
        waiting_max=waiting_max,
        draw=Random(seed),
    )


class World:
    """Requests arrive at the gates in turn; behind them one processor serves `servers` at once, others wait in it."""

    def __init__(
        self, gates: list[Gate], sources: list[Source], *, servers: int, service_s: float, seed: int = 1
    ) -> None:
        self._gates = gates
        self._servers = servers
        self._service_s = service_s
        self._draw = Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._busy = 0
        self._queue: deque[tuple[Gate, Entry, float]] = deque()
        self._of: dict[Entry, tuple[Source, float]] = {}
        self._looks = dict.fromkeys(gates, -1.0)
        self.now = 0.0
        self.reasons: Counter[Reason] = Counter()
        self.seen = {source: Seen() for source in sources}
        self.limits: list[tuple[float, list[int]]] = []
        for number, source in enumerate(sources):
            self._next_arrival(source, number, source.from_s)

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= until_s:
            self.now, _, event = heapq.heappop(self._events)
            event()

    @property
    def at_processor(self) -> int:
        """Requests at the processor, served or waiting inside of it."""
        return self._busy + len(self._queue)

    def slow_down(self, service_s: float) -> None:
        """Change how long the processor takes."""
        self._service_s = service_s

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))

    def _next_arrival(self, source: Source, turn: int, after: float) -> None:
        when = after + self._draw.expovariate(source.per_s)
        if when < source.until_s:
            self._at(when, lambda: self._arrive(source, turn))

    def _arrive(self, source: Source, turn: int) -> None:
        self._next_arrival(source, turn + 1, self.now)
        gate = self._gates[turn % len(self._gates)]
        seen = self.seen[source]
        seen.offered += 1
        outcome, evicted = gate.arrive(
            source.merchant, source.work, source.work.priority(live=False), PROCESSOR, self.now
        )
        if evicted is not None:
            self._refused(evicted, gate.give_up(evicted, self.now, Reason.OUTRANKED))
        if isinstance(outcome, Refusal):
            self.reasons[outcome.reason] += 1
            seen.refused_after.append(0.0)
            seen.retry_in.append(outcome.retry_in_s)
            return
        self._of[outcome] = (source, self.now)
        if outcome.state is State.WORKING:
            self._started(gate, outcome)
        else:
            self._at(outcome.give_up_at, lambda: self._late(gate, outcome))

    def _late(self, gate: Gate, entry: Entry) -> None:
        if entry.state is State.WAITING:
            self._refused(entry, gate.give_up(entry, self.now, Reason.LATE))

    def _refused(self, entry: Entry, refusal: Refusal) -> None:
        source, arrived = self._of.pop(entry)
        self.reasons[refusal.reason] += 1
        self.seen[source].refused_after.append(self.now - arrived)
        self.seen[source].retry_in.append(refusal.retry_in_s)

    def _started(self, gate: Gate, entry: Entry) -> None:
        self._start(gate, gate.away(entry, self.now))
        source, _ = self._of[entry]
        if self._busy < self._servers:
            self._serve(gate, entry, source.service_s or self._service_s)
        else:
            self._queue.append((gate, entry, source.service_s or self._service_s))

    def _serve(self, gate: Gate, entry: Entry, service_s: float) -> None:
        self._busy += 1
        self._at(self.now + service_s * self._draw.uniform(0.9, 1.1), lambda: self._served(gate, entry))

    def _served(self, gate: Gate, entry: Entry) -> None:
        self._busy -= 1
        if self._queue:
            self._serve(*self._queue.popleft())
        self._start(gate, gate.back(entry, self.now))
        source, arrived = self._of.pop(entry)
        self.seen[source].served_at.append(self.now)
        self.seen[source].latencies.append(self.now - arrived)
        self._start(gate, gate.leave(entry, self.now))

    def _start(self, gate: Gate, started: Sequence[Entry]) -> None:
        """Have those start whose turn it is, and look again when the next one may."""
        for entry in started:
            self._started(gate, entry)
        start_at = gate.next_start_at()
        if start_at is not None and start_at > self._looks[gate]:
            self._looks[gate] = start_at
            self._at(max(self.now, start_at), lambda: self._start(gate, gate.fill(self.now)))


def share(values: list[float], part: float) -> float:
    """Return a quantile, 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def seconds(world: World, until: int) -> Iterator[int]:
    """Let time pass second by second."""
    for second in range(int(world.now) + 1, until + 1):
        world.run(second)
        yield second
