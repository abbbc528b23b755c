"""What a request costs the gateway's machine: CPU time of all its processes, what they use at rest taken off."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.cpu import read_cpu
from tests.bench.overload.tally import Tally


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold microseconds of CPU time for a request, by group of processes."""

    us_by_group: Mapping[str, float]

    @property
    def us(self) -> float:
        """Of all groups together."""
        return sum(self.us_by_group.values())

    @property
    def main_groups(self) -> str:
        """The groups that took a twentieth or more, the largest first."""
        largest = sorted(self.us_by_group.items(), key=lambda item: -item[1])
        return ", ".join(f"{group} {us:.0f}" for group, us in largest if us >= 0.05 * max(1.0, self.us))


class Meter:
    """Measures costs at one gateway; ``root`` is the process from which all of its own descend."""

    def __init__(self, root: int) -> None:
        self._roots = {root: "launcher"}
        self._rest_per_s: Mapping[str, float] = {}

    def rest(self, seconds: float) -> None:
        """Learn what the processes use while nothing is asked of them: a duration, so there is nothing to wait for."""
        before, began_at = read_cpu(self._roots), time.perf_counter()
        time.sleep(seconds)
        used = read_cpu(self._roots).since(before)
        took_s = time.perf_counter() - began_at
        self._rest_per_s = {group: used_s / took_s for group, used_s in used.items()}

    def measure(self, run: Callable[[], Tally]) -> tuple[Cost, Tally]:
        """Return what each request of a run cost."""
        before, began_at = read_cpu(self._roots), time.perf_counter()
        tally = run()
        used = read_cpu(self._roots).since(before)
        took_s = time.perf_counter() - began_at
        return each_cost(used, self._rest_per_s, took_s, tally.offered()), tally


def each_cost(used_s: Mapping[str, float], rest_per_s: Mapping[str, float], took_s: float, requests: int) -> Cost:
    """Return what each request cost, given the CPU seconds by group, and those for every second of rest."""
    return Cost(
        {
            group: (seconds - rest_per_s.get(group, 0.0) * took_s) / max(1, requests) * 1e6
            for group, seconds in used_s.items()
        }
    )
