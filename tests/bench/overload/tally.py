"""What became of the requests of a run, in a room that its length bounds and not the number of requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from actors.runtime.histogram import Histogram
from tests.bench.overload.answer import ANSWERED, Answer, Outcome

SAMPLES_MAX = 3
RETRY_AFTER_SHOWN_MAX_S = 3600


class Seconds:
    """Count by the second of a run."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: list[int] = []

    def record(self, at_s: float) -> None:
        """Count one."""
        second = int(at_s)
        counts = self.counts
        if second >= len(counts):
            counts.extend([0] * (second + 1 - len(counts)))
        counts[second] += 1

    def between(self, start_s: int, stop_s: int) -> int:
        """Return how many there were from one second until before another."""
        return sum(self.counts[start_s:stop_s])

    def add(self, other: Seconds) -> None:
        """Count what another has counted too."""
        self.counts.extend([0] * (len(other.counts) - len(self.counts)))
        for second, number in enumerate(other.counts):
            self.counts[second] += number


@dataclass(slots=True)
class Ended:
    """Hold those requests of a stream that ended alike: by the second in which they were due, by that of their answer,
    and their latencies in seconds, each counted from when the request was due, not from when it was sent."""

    by_due: Seconds = field(default_factory=Seconds)
    by_answer: Seconds = field(default_factory=Seconds)
    latency_s: Histogram = field(default_factory=Histogram)
    latency_max_s: float = 0.0

    def record(self, due_s: float, now_s: float) -> None:
        """Count one."""
        latency_s = max(0.0, now_s - due_s)
        self.by_due.record(due_s)
        self.by_answer.record(now_s)
        self.latency_s.record(latency_s)
        self.latency_max_s = max(self.latency_max_s, latency_s)

    def add(self, other: Ended) -> None:
        """Count what another has counted too."""
        self.by_due.add(other.by_due)
        self.by_answer.add(other.by_answer)
        self.latency_s.add(other.latency_s)
        self.latency_max_s = max(self.latency_max_s, other.latency_max_s)


@dataclass(slots=True)
class StreamTally:
    """Hold what became of one stream. ``retry_after_s`` counts refusals by what they asked for."""

    ended: dict[Outcome, Ended] = field(default_factory=lambda: {outcome: Ended() for outcome in Outcome})
    retry_after_s: dict[int, int] = field(default_factory=dict)
    retry_after_missing: int = 0
    samples: list[str] = field(default_factory=list)

    def record(self, outcome: Outcome, due_s: float, now_s: float, answer: Answer | None, what: str = "") -> None:
        """Count one, with its answer or what happened instead."""
        self.ended[outcome].record(due_s, now_s)
        if outcome is Outcome.REFUSED:
            assert answer is not None
            self._refused(answer.retry_after_s)
        elif outcome not in ANSWERED and len(self.samples) < SAMPLES_MAX:
            text = f"{answer.status} {answer.body[:300].decode(errors='replace')}" if answer else what
            self.samples.append(f"{outcome}: {text}")

    def add(self, other: StreamTally) -> None:
        """Count what another has counted too."""
        for outcome, ended in other.ended.items():
            self.ended[outcome].add(ended)
        for wait_s, number in other.retry_after_s.items():
            self.retry_after_s[wait_s] = self.retry_after_s.get(wait_s, 0) + number
        self.retry_after_missing += other.retry_after_missing
        self.samples = (self.samples + other.samples)[:SAMPLES_MAX]

    def _refused(self, wait_s: int | None) -> None:
        if wait_s is None:
            self.retry_after_missing += 1
            return
        wait_s = min(wait_s, RETRY_AFTER_SHOWN_MAX_S)
        self.retry_after_s[wait_s] = self.retry_after_s.get(wait_s, 0) + 1


@dataclass(slots=True)
class Tally:
    """Hold what became of a run, by stream, and how the generator itself did: how late it sent, its CPU seconds, and
    its connections. ``resent`` counts requests that met a connection which the server had just closed."""

    streams: dict[str, StreamTally]
    late_s: Histogram = field(default_factory=Histogram)
    cpu_s: float = 0.0
    opened: int = 0
    closed_idle: int = 0
    resent: int = 0

    def add(self, other: Tally) -> None:
        """Count what another process has counted too."""
        for name, stream in other.streams.items():
            self.streams[name].add(stream)
        self.late_s.add(other.late_s)
        self.cpu_s += other.cpu_s
        self.opened += other.opened
        self.closed_idle += other.closed_idle
        self.resent += other.resent

    def count(self, outcomes: Iterable[Outcome], names: Iterable[str] | None = None) -> int:
        """Return how many ended so, of these streams or of all."""
        return sum(ended.latency_s.count for ended in self._ended(outcomes, names))

    def offered(self, names: Iterable[str] | None = None) -> int:
        """Return how many were due."""
        return self.count(Outcome, names)

    def rate(self, outcomes: Iterable[Outcome], start_s: int, stop_s: int, names: Iterable[str] | None = None) -> float:
        """Return how many a second were answered so from one second until before another."""
        counts = (ended.by_answer.between(start_s, stop_s) for ended in self._ended(outcomes, names))
        return sum(counts) / (stop_s - start_s)

    def goodput(self, start_s: int, stop_s: int, names: Iterable[str] | None = None) -> float:
        """Return how many a second were answered as they should be."""
        return self.rate((Outcome.GOOD,), start_s, stop_s, names)

    def due(self, outcomes: Iterable[Outcome], start_s: int, stop_s: int, names: Iterable[str] | None = None) -> int:
        """Return how many of those that were due from one second until before another ended so."""
        return sum(ended.by_due.between(start_s, stop_s) for ended in self._ended(outcomes, names))

    def latency_ms(self, part: float, outcomes: Iterable[Outcome], names: Iterable[str] | None = None) -> float | None:
        """Return a quantile within 4 %, and no larger than the longest; None where there is none."""
        together, longest_s = Histogram(), 0.0
        for ended in self._ended(outcomes, names):
            together.add(ended.latency_s)
            longest_s = max(longest_s, ended.latency_max_s)
        quantile_s = together.quantile(part)
        return None if quantile_s is None else min(quantile_s, longest_s) * 1e3

    def latency_max_ms(self, outcomes: Iterable[Outcome], names: Iterable[str] | None = None) -> float:
        """Return the longest, 0 where there is none."""
        return max((ended.latency_max_s for ended in self._ended(outcomes, names)), default=0.0) * 1e3

    @property
    def cpu_us_each(self) -> float:
        """The generator's own CPU time for a request, in microseconds."""
        return self.cpu_s / max(1, self.offered()) * 1e6

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the machine-readable form."""
        late_ms = self.late_s.quantile(0.99)
        return {
            "generator": {
                "cpu_s": round(self.cpu_s, 3),
                "cpu_us_each": round(self.cpu_us_each, 1),
                "late_p99_ms": None if late_ms is None else round(late_ms * 1e3, 3),
                "opened": self.opened,
                "closed_idle": self.closed_idle,
                "resent": self.resent,
            },
            "streams": {name: self._stream_json(name, stream) for name, stream in self.streams.items()},
        }

    def _stream_json(self, name: str, stream: StreamTally) -> dict[str, Any]:
        outcomes = {
            outcome.value: {
                "count": ended.latency_s.count,
                "p50_ms": self.latency_ms(0.5, (outcome,), (name,)),
                "p99_ms": self.latency_ms(0.99, (outcome,), (name,)),
                "max_ms": round(ended.latency_max_s * 1e3, 3),
                "by_answer_second": ended.by_answer.counts,
            }
            for outcome, ended in stream.ended.items()
            if ended.latency_s.count
        }
        return {
            "outcomes": outcomes,
            "retry_after_s": stream.retry_after_s,
            "retry_after_missing": stream.retry_after_missing,
            "samples": stream.samples,
        }

    def _ended(self, outcomes: Iterable[Outcome], names: Iterable[str] | None) -> list[Ended]:
        wanted = frozenset(outcomes)
        chosen = self.streams.values() if names is None else [self.streams[name] for name in names]
        return [ended for stream in chosen for outcome, ended in stream.ended.items() if outcome in wanted]
