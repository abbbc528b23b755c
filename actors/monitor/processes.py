"""Which processes report, and their gauges."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.monitor.messages import ProcessGauges
from actors.monitor.series import Series

SILENT_AFTER_S = 5.0
"""Twenty reports, or two of those that report less often: whoever missed so many is gone, and its gauges with it."""
PROCESSES_MAX = 2000
GAUGES_MAX = 500
"""Of one process."""
RELAY_FROM = 4
"""Processes of a node. A relay makes as many calls as one of them, and takes some 2.5 s of a core to start."""


def wants_relay(processes: int, nodes: int) -> bool:
    """Tell whether so many processes of one of so many nodes are worth a relay; where there is one node, never."""
    return nodes > 1 and processes >= RELAY_FROM


class ProcessView(NamedTuple):
    """A process that reports, and how many seconds ago it did."""

    process: str
    node: str
    heard_s_ago: float


@dataclass(slots=True)
class _Process:
    node: str
    heard_at: float
    gauges: set[Series] = field(default_factory=set)


class Processes:
    """Keep the gauges of processes for as long as these are heard; ``now`` is of a monotonic clock."""

    def __init__(self) -> None:
        self._processes: dict[str, _Process] = {}
        self._gauges: defaultdict[str, dict[Series, dict[str, float]]] = defaultdict(dict)
        self._of_nodes: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._processes)

    def hear(self, told: ProcessGauges, now: float) -> None:
        """Note that a process is there, and what it measures; past ``PROCESSES_MAX`` it is not noted."""
        process, node, gauges, all_gauges = told
        known = self._processes.get(process)
        if known is None:
            if len(self._processes) >= PROCESSES_MAX:
                return
            known = self._processes[process] = _Process(node, now)
            self._of_nodes[node] += 1
        elif known.node != node:
            self._leave(known.node)
            self._of_nodes[node] += 1
        known.node, known.heard_at = node, now
        if all_gauges:
            for gone in known.gauges - gauges.keys():
                known.gauges.discard(gone)
                self._drop(gone, process)
        for series, value in gauges.items():
            if series in known.gauges:
                self._gauges[series.name][series][process] = value
            elif len(known.gauges) < GAUGES_MAX:
                known.gauges.add(series)
                self._gauges[series.name].setdefault(series, {})[process] = value

    def forget_silent(self, now: float) -> None:
        """Drop those that were not heard for ``SILENT_AFTER_S``."""
        for name in [name for name, each in self._processes.items() if now - each.heard_at > SILENT_AFTER_S]:
            gone = self._processes.pop(name)
            self._leave(gone.node)
            for series in gone.gauges:
                self._drop(series, name)

    @property
    def nodes(self) -> int:
        """On how many nodes there are any."""
        return len(self._of_nodes)

    def of_node(self, node: str) -> int:
        """Return how many there are on a node."""
        return self._of_nodes[node]

    def of(self, name: str) -> Mapping[Series, Mapping[str, float]]:
        """Return the gauges of a name, of each process that set them."""
        return self._gauges.get(name, {})

    def names(self) -> Iterable[str]:
        """Return the names of all gauges."""
        return list(self._gauges)

    def views(self, now: float) -> tuple[ProcessView, ...]:
        """Return every process that is heard, sorted."""
        return tuple(
            ProcessView(name, each.node, max(0.0, now - each.heard_at))
            for name, each in sorted(self._processes.items())
        )

    def _leave(self, node: str) -> None:
        self._of_nodes[node] -= 1
        if not self._of_nodes[node]:
            del self._of_nodes[node]

    def _drop(self, series: Series, process: str) -> None:
        values = self._gauges[series.name][series]
        del values[process]
        if not values:
            del self._gauges[series.name][series]
            if not self._gauges[series.name]:
                del self._gauges[series.name]
