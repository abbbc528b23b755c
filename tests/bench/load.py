"""A load: what a load generator was asked to do, and what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.bench.failure import BenchFailed
from tests.bench.target import Target

SAMPLES_MAX = 5
REQUEST_TIMEOUT_S = 10


class LoadFailed(BenchFailed):
    """A run had answers other than 2xx, or lost connections, and so measured nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """Hold the outcome of one run; latencies are of answered requests."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failures: int
    cpu_s: float
    samples: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Requests answered per second."""
        return self.requests / self.seconds


class LoadGenerator(Protocol):
    """Send one request after another on each of some connections, without pipelining."""

    name: str

    def run(self, target: Target, *, connections: int, seconds: float) -> Load:
        """Run for `seconds`; failures are counted, not raised."""
        ...

    def sample_failures(self, target: Target, *, connections: int) -> tuple[str, ...]:
        """Run again for two seconds and return up to SAMPLES_MAX answers that were not 2xx."""
        ...
