"""A window: one subject measured once, at one number of connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.cpu import read_cpu
from tests.bench.database import Counters, read_counters
from tests.bench.load import Load, LoadFailed, LoadGenerator
from tests.bench.subjects import Subject

WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """Hold what one measured window showed. CPU is in seconds by group; None where nothing is written."""

    subject: str
    connections: int
    round: int
    load: Load
    cpu: Mapping[str, float] = field(default_factory=dict)
    wal_bytes: int | None = None
    writes: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the machine-readable form."""
        return {**asdict(self), "rate": round(self.load.rate, 1)}


class Meter:
    """Measure subjects with one load generator; `roots` are the process trees whose CPU time is read."""

    def __init__(self, generator: LoadGenerator, roots: Mapping[int, str]) -> None:
        self._generator = generator
        self._roots = roots

    def warm_up(self, subject: Subject, *, connections: int, seconds: float = WARM_UP_SECONDS) -> None:
        """Load the subject without measuring it."""
        load = self._generator.run(subject.target, connections=connections, seconds=seconds)
        self._refuse_failures(subject, connections, load)

    def measure(self, subject: Subject, *, connections: int, seconds: float, turn: int) -> Window:
        """Warm up, then measure. Raises LoadFailed on any answer but 2xx or payments that do not add up."""
        self.warm_up(subject, connections=connections)
        before = read_counters(subject.database_url) if subject.database_url else None
        cpu_before = read_cpu(self._roots)
        load = self._generator.run(subject.target, connections=connections, seconds=seconds)
        cpu = read_cpu(self._roots).since(cpu_before)
        self._refuse_failures(subject, connections, load)
        cpu["load generator"] = round(load.cpu_s, 4)
        if before is None or subject.database_url is None:
            return Window(subject.name, connections, turn, load, cpu)
        added = read_counters(subject.database_url).since(before)
        check_payments(subject.name, load, added, connections)
        return Window(subject.name, connections, turn, load, cpu, added.wal_bytes, added.writes)

    def _refuse_failures(self, subject: Subject, connections: int, load: Load) -> None:
        if load.failures == 0 and load.requests > 0:
            return
        samples = load.samples or self._generator.sample_failures(subject.target, connections=connections)
        listed = "\n  ".join(samples) or "(none came again)"
        raise LoadFailed(
            f"{subject.name} at {connections} connections: "
            f"{load.failures} of {load.requests} requests failed\n  {listed}"
        )


def check_payments(name: str, load: Load, added: Counters, connections: int) -> None:
    """Raise LoadFailed unless each answered request made one captured payment of its own."""
    # What was still in flight when the generator stopped, here and after the warm-up, is made but not counted
    # there.
    surplus = added.captured - load.requests
    if not 0 <= surplus <= 2 * connections:
        raise LoadFailed(f"{name}: {load.requests} answered requests, {added.captured} captured payments")
