"""All that processes told: totals since the start, the last minute second by second, and present gauges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from actors.monitor.heard import Heard
from actors.monitor.instruments import FOLDED
from actors.monitor.measures import Merge, Select, merged
from actors.monitor.messages import Batch, Bundle, ProcessGauges, Totals
from actors.monitor.processes import Processes
from actors.monitor.rings import CounterRing, HistogramRing, weights
from actors.monitor.series import Labels, Series, series
from actors.monitor.shelf import COUNTERS_MAX, HISTOGRAMS_MAX, Shelf
from actors.runtime.histogram import Histogram

GRACE_S = 0.75
"""How long after its end a second is taken to have been told: a process's turn, a relay's turn, and a busy machine."""

CATCH_UP_MAX = 10

REPORTS = "easypay_monitor_reports_total"


class Store:
    """Add up what processes tell, each batch once, in bounded memory; times are arguments, of a monotonic clock.

    A second counts as known ``GRACE_S`` after its end; ``settle`` moves to the next that is. What measures read ends
    with that second.
    """

    def __init__(self, started_at: float, merges: Mapping[str, Merge] | None = None) -> None:
        """``merges`` says for gauges by name how those of several processes become one; the largest unless it does."""
        self._first = int(started_at)
        self._merges = merges or {}
        self._heard = Heard()
        self._counters = Shelf(CounterRing, COUNTERS_MAX)
        self._histograms = Shelf(HistogramRing, HISTOGRAMS_MAX)
        self.processes = Processes()
        self.settled = self._first - 1
        """The last second that is known."""

    def take(self, batch: Batch, now: float) -> bool:
        """Add a process's batch; False where it was added before."""
        if not self._heard.is_new(batch.life, batch.sequence):
            return False
        self._add(batch, now - batch.age_s)
        self.processes.hear(ProcessGauges(batch.process, batch.node, batch.gauges, batch.all_gauges), now)
        return True

    def knows(self, bundle: Bundle) -> bool:
        """Tell whether a bundle was added before."""
        return self._heard.knows(bundle.life, bundle.sequence)

    def take_bundle(self, bundle: Bundle, now: float) -> bool:
        """Add what a bundle adds up; False where any part of it was added before, for it cannot be taken out of it.

        Its late batches are left to ``take``.
        """
        if any(self._heard.knows(life, sequence) for life, sequence in bundle.parts):
            return False
        for life, sequence in (*bundle.parts, (bundle.life, bundle.sequence)):
            self._heard.is_new(life, sequence)
        self._add(bundle, now)
        for told in bundle.processes:
            self.processes.hear(told, now)
        return True

    def settle(self, now: float) -> bool:
        """Move on by a second; False where the next one is not known yet. Of what it is behind, it catches up with the
        last ten."""
        known = int(now - GRACE_S) - 1
        if known <= self.settled:
            return False
        self.settled = max(self.settled + 1, known - CATCH_UP_MAX)
        self.processes.forget_silent(now)
        return True

    def totals(self) -> Totals:
        """Return all counters and histograms since the start, and present gauges. The histograms are copies."""
        counters: dict[Series, float] = {each: ring.total for each, ring in self._counters.items()}
        for shelf in (self._counters, self._histograms):
            for name, times in shelf.folded.items():
                folded = series(FOLDED, name=name)
                counters[folded] = counters.get(folded, 0) + times
        histograms = {each: _sum([ring.total]) for each, ring in self._histograms.items()}
        gauges = {
            each: merged(list(values.values()), self._merges.get(name, Merge.MAX))
            for name in self.processes.names()
            for each, values in self.processes.of(name).items()
        }
        return Totals(counters, histograms, gauges)

    def counted(self, of: Select) -> float:
        """Return what counters have come to since the start."""
        return sum(ring.total for _, ring in self._counters.chosen(of))

    def span_s(self, span_s: int) -> int:
        """Return how many of the last ``span_s`` seconds there are."""
        return min(span_s, self.settled - self._first + 1)

    def risen(self, of: Select, span_s: int, by: tuple[str, ...]) -> Mapping[Labels, float]:
        """Return by how much counters rose."""
        risen: defaultdict[Labels, float] = defaultdict(float)
        for each, ring in self._counters.chosen(of):
            risen[_parted(each, by)] += ring.risen(self.settled, span_s)
        return risen

    def recorded(self, of: Select, span_s: int, by: tuple[str, ...]) -> Mapping[Labels, Histogram]:
        """Return what histograms recorded; nothing that is empty."""
        recorded: dict[Labels, Histogram] = {}
        for each, ring in self._histograms.chosen(of):
            for histogram in ring.recorded(self.settled, span_s):
                recorded.setdefault(_parted(each, by), Histogram()).add(histogram)
        return recorded

    def gauges(self, of: Select, by: tuple[str, ...], merge: Merge) -> Mapping[Labels, float]:
        """Return what gauges are now: each of several processes merged by its own rule, then those by ``merge``."""
        values: defaultdict[Labels, list[float]] = defaultdict(list)
        of_processes = self._merges.get(of.name, Merge.MAX)
        for each, told in self.processes.of(of.name).items():
            if of.takes(each):
                values[_parted(each, by)].append(merged(list(told.values()), of_processes))
        return {labels: merged(each, merge) for labels, each in values.items()}

    def _add(self, told: Batch | Bundle, ended_at: float) -> None:
        spread = weights(ended_at, told.span_s, self._first)
        for each, more in told.counters.items():
            counter = self._counters.ring(each, ended_at)
            if counter is not None:
                counter.add(more, spread)
        for each, histogram in told.histograms.items():
            recorded = self._histograms.ring(each, ended_at)
            if recorded is not None:
                recorded.add(histogram, spread)


def _parted(each: Series, by: tuple[str, ...]) -> Labels:
    return tuple((label, each.label(label)) for label in by)


def _sum(histograms: Iterable[Histogram]) -> Histogram:
    total = Histogram()
    for histogram in histograms:
        total.add(histogram)
    return total
