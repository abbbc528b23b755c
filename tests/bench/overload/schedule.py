"""When requests are due, whatever became of those before them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Describe the arrivals of one stream: so many a second from ``start_s`` until before ``stop_s``, counted from the
    start of the run. At random intervals (a Poisson process), or each as long as the other where ``paced``."""

    rate_per_s: float
    start_s: float
    stop_s: float
    paced: bool = False

    def __post_init__(self) -> None:
        if self.rate_per_s <= 0:
            raise ValueError(f"rate_per_s must be above 0, is {self.rate_per_s}")
        if not 0 <= self.start_s < self.stop_s:
            raise ValueError(f"start_s and stop_s must be a span from 0 on, are {self.start_s} and {self.stop_s}")

    def share(self, processes: int) -> Arrivals:
        """Return what each of so many processes offers: random arrivals together are random arrivals again."""
        return Arrivals(self.rate_per_s / processes, self.start_s, self.stop_s, self.paced)

    def due_times(self, draw: random.Random) -> Iterator[float]:
        """Yield seconds since the start of the run, in order."""
        times = self._even() if self.paced else self._random(draw)
        return takewhile(lambda due_s: due_s < self.stop_s, times)

    def _even(self) -> Iterator[float]:
        return (self.start_s + number / self.rate_per_s for number in count())

    def _random(self, draw: random.Random) -> Iterator[float]:
        due_s = self.start_s
        while True:
            due_s += draw.expovariate(self.rate_per_s)
            yield due_s


def merged(streams: Sequence[Arrivals], seed: int) -> Iterator[tuple[float, int]]:
    """Yield when each request of all streams is due, and the number of its stream, in the order of time.

    Each stream draws from a source of its own, so that the times of one are the same beside any others.
    """
    return heapq.merge(*(_numbered(stream, number, seed) for number, stream in enumerate(streams)))


def _numbered(stream: Arrivals, number: int, seed: int) -> Iterator[tuple[float, int]]:
    return ((due_s, number) for due_s in stream.due_times(random.Random(f"{seed}-{number}")))
