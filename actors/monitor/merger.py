"""The batches of a node's processes, added up."""

from __future__ import annotations

from actors.monitor.instruments import FOLDED
from actors.monitor.messages import Batch, Bundle, Change, ProcessGauges
from actors.monitor.series import Series, series
from actors.runtime.histogram import Histogram

MOMENT_S = 1.5
"""What covers more is handed on as it is."""
LATE_MAX = 1000
CHANGES_MAX = 200
SERIES_MAX = 10_000


class Merger:
    """Add up batches until they are taken, in bounded memory; times are arguments, of a monotonic clock.

    It remembers nothing of what was taken. So a batch that has an age, which says that it was told before, is not added
    to others but handed on as it is, for the monitor to tell whether it is counted.

    Past ``SERIES_MAX`` series of a kind what is new is not added, and counted as
    ``easypay_monitor_folded_total{name="relay"}``.
    """

    def __init__(self, node: str, life: str, now: float) -> None:
        """``life`` tells this relay from the one before."""
        self._node = node
        self._life = life
        self._since = now
        self._sequence = 0
        self._begin()

    def __bool__(self) -> bool:
        """Tell whether there is anything to take."""
        return bool(self._parts or self._late)

    def add(self, batch: Batch) -> bool:
        """Add a process's batch, unless it is there; False where there is no room for one that is late."""
        key = batch.life, batch.sequence
        if key in self._parts or key in self._late:
            return True
        if batch.age_s > 0 or batch.span_s > MOMENT_S:
            if len(self._late) >= LATE_MAX:
                return False
            self._late[key] = batch
            return True
        self._parts.add(key)
        self._add_counters(batch)
        self._add_histograms(batch)
        self._add_gauges(batch)
        self._changes += batch.changes[: CHANGES_MAX - len(self._changes)]
        return True

    def take(self, now: float) -> Bundle:
        """Return what was added since this was called before, which will not be told again."""
        self._sequence += 1
        span_s, self._since = max(0.0, now - self._since), now
        if self._lost:
            self._counters[series(FOLDED, name="relay")] = self._lost
        bundle = Bundle(
            self._node, self._life, self._sequence, span_s, tuple(self._parts), self._counters, self._histograms,
            tuple(self._processes.values()), tuple(self._changes), tuple(self._late.values()),
        )  # fmt: skip
        self._begin()
        return bundle

    def _begin(self) -> None:
        self._parts: set[tuple[str, int]] = set()
        self._lost = 0
        self._counters: dict[Series, float] = {}
        self._histograms: dict[Series, Histogram] = {}
        self._processes: dict[str, ProcessGauges] = {}
        self._changes: list[Change] = []
        self._late: dict[tuple[str, int], Batch] = {}

    def _add_gauges(self, batch: Batch) -> None:
        before = self._processes.get(batch.process)
        if before is None or batch.all_gauges:
            gauges, all_gauges = batch.gauges, batch.all_gauges
        else:
            gauges, all_gauges = {**before.gauges, **batch.gauges}, before.all_gauges
        self._processes[batch.process] = ProcessGauges(batch.process, batch.node, gauges, all_gauges)

    def _add_counters(self, batch: Batch) -> None:
        counters = self._counters
        for each, more in batch.counters.items():
            if each in counters:
                counters[each] += more
            elif len(counters) < SERIES_MAX:
                counters[each] = more
            else:
                self._lost += 1

    def _add_histograms(self, batch: Batch) -> None:
        histograms = self._histograms
        for each, more in batch.histograms.items():
            if each not in histograms:
                if len(histograms) >= SERIES_MAX:
                    self._lost += 1
                    continue
                histograms[each] = Histogram()
            histograms[each].add(more)
