"""How reads ended: counted in each process, summed by whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """How the reads of one model ended in one process since it started.

    ``joined`` shared a read of their own process, ``waited`` were shard hits or loads that waited for another process's
    load, ``updates`` are new states that a shard sent of what was held near, ``negative_hits`` are those of the hits
    that said there is no such thing. ``bypasses`` went to the database because the cache would not say, by reason.
    """

    near_hits: int = 0
    joined: int = 0
    shard_hits: int = 0
    negative_hits: int = 0
    waited: int = 0
    loads: int = 0
    refreshes: int = 0
    updates: int = 0
    stale_refusals: int = 0
    bypasses: dict[str, int] = field(default_factory=dict)

    @property
    def reads(self) -> int:
        """All reads."""
        return self.near_hits + self.joined + self.shard_hits + self.loads + sum(self.bypasses.values())

    @property
    def hits(self) -> int:
        """Reads that cost no load."""
        return self.near_hits + self.joined + self.shard_hits

    def add(self, other: Counts) -> None:
        """Count the reads of another process too."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.bypasses.items():
            self.bypasses[reason] = self.bypasses.get(reason, 0) + count


_NUMBERS = tuple(name for name in Counts.__slots__ if name != "bypasses")

Report = Mapping[str, Counts]
"""The counts of one process, by model."""


def summed(reports: Iterable[Report]) -> dict[str, Counts]:
    """Sum the counts of processes."""
    total: dict[str, Counts] = {}
    for report in reports:
        for model, counts in report.items():
            total.setdefault(model, Counts()).add(counts)
    return total


def newest(reports: Iterable[Mapping[str, Report]]) -> list[Report]:
    """Of what several shards know of the same processes, by name, return the newest of each process."""
    best: dict[str, Report] = {}
    for by_process in reports:
        for process, report in by_process.items():
            if process not in best or _reads(report) > _reads(best[process]):
                best[process] = report
    return list(best.values())


def _reads(report: Report) -> int:
    return sum(counts.reads for counts in report.values())
