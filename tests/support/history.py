"""Checks that reads never go back in time: the part of linearizability that a cache can break."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seen:
    """From ``began`` to ``ended`` a client read, or made, this version of a key."""

    began: float
    ended: float
    version: int
    by: str


@dataclass(slots=True)
class History:
    """What clients did, by key. A write that was never acknowledged is not in it: it may take effect at any time."""

    reads: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    writes: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))

    @property
    def read_count(self) -> int:
        """All reads."""
        return sum(len(reads) for reads in self.reads.values())

    def violations(self) -> list[str]:
        """Describe each read that returned an older version than an acknowledged write, or an earlier read, had shown
        before it began."""
        found: list[str] = []
        for key, reads in self.reads.items():
            known = sorted((*reads, *self.writes[key]), key=lambda seen: seen.ended)
            ends = [seen.ended for seen in known]
            newest: list[Seen] = []
            for seen in known:
                newest.append(seen if not newest or seen.version > newest[-1].version else newest[-1])
            for read in reads:
                before = bisect_left(ends, read.began)
                if before and newest[before - 1].version > read.version:
                    found.append(f"{key}: {read} after {newest[before - 1]}")
        return found
