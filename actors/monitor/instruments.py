"""What a process measures with, between two reports."""

from __future__ import annotations

import logging
import secrets
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Container

from actors.monitor.messages import Batch, Change
from actors.monitor.series import OTHER, Series, series
from actors.runtime.clock import Clock, SystemClock
from actors.runtime.histogram import Histogram

LABEL_SETS_MAX = 1000
"""Of one name in one process, as many as the monitor keeps. The gateway's own have hundreds at most: requests by route,
method and status. An id as a label would reach it in seconds."""
NAMES_MAX = 500
TOTALS_MAX = 5000
"""Totals of sources that are remembered, to tell by how much they rose."""
CHANGES_MAX = 50
COMPLETE_EVERY = 8
"""Each so many batches all gauges are told, changed or not: a monitor that starts anew knows those of a process that
reports four times a second in two seconds."""
FOLDED = "easypay_monitor_folded_total"

_logger = logging.getLogger(__name__)


class Counter:
    """A count that rises. To add costs one addition; for one thread."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def add(self, by: float = 1) -> None:
        """Raise it by what is not negative."""
        self.value += by


class Distribution:
    """Numbers, of which the quantiles are wanted. To record costs what ``Histogram.record`` does; for one thread."""

    __slots__ = ("histogram", "record")

    def __init__(self) -> None:
        self.histogram = Histogram()
        # Bound once, and good for as long as the process runs: the caller pays for no second call.
        self.record = self.histogram.record


class Readings:
    """What a source is given to tell its figures: those that some other part of the process keeps anyway."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def gauge(self, name: str, /, value: float, **labels: str) -> None:
        """Tell what a figure is now."""
        self._instruments.gauge(name, value, **labels)

    def counter(self, name: str, /, total: float, **labels: str) -> None:
        """Tell what a count has come to since the process started. One that fell has begun anew."""
        self._instruments.rise_to(series(name, **labels), total)

    def histogram(self, name: str, /, total: Histogram, **labels: str) -> None:
        """Tell all that was recorded since the process started."""
        self._instruments.grow_to(series(name, **labels), total)


Source = Callable[[Readings], None]


class Instruments:
    """Everything that one process measures, by name and labels, until it is taken.

    Plain, for one thread, and bounded: past ``label_sets_max`` label sets of a name each label of what is new becomes
    "other", and past ``names_max`` names it is not counted; ``easypay_monitor_folded_total{name}`` says how often that
    was. Counting by name and labels takes a few microseconds; hot paths keep a handle (``counter``, ``distribution``),
    which takes a tenth of one, and for a distribution as long as ``Histogram.record``.
    """

    def __init__(
        self,
        process: str,
        node: str = "",
        *,
        clock: Clock | None = None,
        life: str | None = None,
        label_sets_max: int = LABEL_SETS_MAX,
        names_max: int = NAMES_MAX,
    ) -> None:
        """``process`` is shown to people; ``life``, made if it is not given, tells it from the one before."""
        self.process = process
        self.node = node
        self._clock = clock or SystemClock()
        self._life = life or secrets.token_hex(8)
        self._label_sets_max = label_sets_max
        self._names_max = names_max
        self._sets: Tally[str] = Tally()
        self._counters: dict[Series, Counter] = {}
        self._distributions: dict[Series, Distribution] = {}
        self._gauges: dict[Series, float] = {}
        self._told_gauges: dict[Series, float] = {}
        self._totals: dict[Series, float] = {}
        self._grown: dict[Series, Histogram] = {}
        self._changes: deque[Change] = deque(maxlen=CHANGES_MAX)
        self._sources: list[Source] = []
        self._failed_sources: set[Source] = set()
        self._sequence = 0
        self._since = self._clock.monotonic()

    def counter(self, name: str, /, **labels: str) -> Counter:
        """Return the handle of a counter; the same one for the same name and labels."""
        return self._counter(series(name, **labels))

    def distribution(self, name: str, /, **labels: str) -> Distribution:
        """Return the handle of a distribution; the same one for the same name and labels."""
        return self._distribution(series(name, **labels))

    def count(self, name: str, /, by: float = 1, **labels: str) -> None:
        """Raise a counter."""
        self._counter(series(name, **labels)).add(by)

    def record(self, name: str, /, value: float, **labels: str) -> None:
        """Record a number that is not negative."""
        self._distribution(series(name, **labels)).record(value)

    def gauge(self, name: str, /, value: float, **labels: str) -> None:
        """Set a gauge; it stays what it is until it is set again."""
        wanted = self._room(series(name, **labels), self._gauges)
        if wanted is not None:
            self._gauges[wanted] = value

    def forget_gauge(self, name: str, /, **labels: str) -> None:
        """Let a gauge be told no longer; the monitor drops it within seconds."""
        wanted = series(name, **labels)
        if self._gauges.pop(wanted, None) is not None:
            self._told_gauges.pop(wanted, None)
            self._sets[name] -= 1

    def changed(self, kind: str, what: str) -> None:
        """Note that something was changed: deploy, scale, breaker, index or configuration. The last 50 are kept."""
        self._changes.append(Change(self._clock.now(), kind, what))

    def source(self, read: Source) -> None:
        """Call ``read`` before each report, to tell what is kept elsewhere; it must be quick.

        One that fails is logged when it begins to, and asked again each time; the others are not affected.
        """
        self._sources.append(read)

    def rise_to(self, wanted: Series, total: float) -> None:
        """Count by how much a total has risen since it was told before."""
        before = self._totals.get(wanted)
        if before is None:
            before = 0
            if len(self._totals) >= TOTALS_MAX:
                self._fold(wanted.name)
                return
        counter = self._counter(wanted)
        counter.add(total - before if total >= before else total)
        self._totals[wanted] = total

    def grow_to(self, wanted: Series, total: Histogram) -> None:
        """Record what a histogram has more than when it was told before."""
        before = self._grown.get(wanted)
        if before is None and len(self._grown) >= TOTALS_MAX:
            self._fold(wanted.name)
            return
        if before is None or total.count < before.count:
            before = Histogram()
        if total.count > before.count:
            self._distribution(wanted).histogram.add(total.since(before))
            kept = self._grown[wanted] = Histogram()
            kept.add(total)

    def take(self) -> Batch:
        """Return what was measured since this was called before, which will not be told again."""
        self._ask_sources()
        self._sequence += 1
        now = self._clock.monotonic()
        span_s, self._since = max(0.0, now - self._since), now
        batch = Batch(
            self.process, self.node, self._life, self._sequence, span_s, 0.0,
            self._taken_counters(), self._taken_gauges(), self._taken_histograms(), tuple(self._changes),
            self._tells_all_gauges(),
        )  # fmt: skip
        self._changes.clear()
        return batch

    def _ask_sources(self) -> None:
        readings = Readings(self)
        for read in self._sources:
            try:
                read(readings)
            except Exception:
                # What one part cannot tell must not keep the others from being heard.
                if read not in self._failed_sources:
                    self._failed_sources.add(read)
                    _logger.exception("a source of figures of %s fails", self.process)
            else:
                self._failed_sources.discard(read)

    def _taken_counters(self) -> dict[Series, float]:
        taken: dict[Series, float] = {}
        for each, counter in self._counters.items():
            if counter.value:
                taken[each], counter.value = counter.value, 0
        return taken

    def _tells_all_gauges(self) -> bool:
        return self._sequence % COMPLETE_EVERY == 1

    def _taken_gauges(self) -> dict[Series, float]:
        told = self._told_gauges
        if self._tells_all_gauges():
            taken = dict(self._gauges)
        else:
            taken = {each: value for each, value in self._gauges.items() if value != told.get(each)}
        told.update(taken)
        return taken

    def _taken_histograms(self) -> dict[Series, Histogram]:
        taken: dict[Series, Histogram] = {}
        for each, distribution in self._distributions.items():
            if distribution.histogram.count:
                taken[each] = distribution.histogram.drain()
        return taken

    def _counter(self, wanted: Series) -> Counter:
        counter = self._counters.get(wanted)
        if counter is None:
            room = self._room(wanted, self._counters)
            counter = Counter() if room is None else self._counters.setdefault(room, Counter())
        return counter

    def _distribution(self, wanted: Series) -> Distribution:
        distribution = self._distributions.get(wanted)
        if distribution is None:
            room = self._room(wanted, self._distributions)
            distribution = Distribution() if room is None else self._distributions.setdefault(room, Distribution())
        return distribution

    def _room(self, wanted: Series, known: Container[Series]) -> Series | None:
        """Return under which series this is kept, None where its name is one too many."""
        if wanted in known:
            return wanted
        name = wanted.name
        if name not in self._sets and len(self._sets) >= self._names_max:
            self._fold(OTHER)
            return None
        if self._sets[name] < self._label_sets_max or not wanted.labels:
            self._sets[name] += 1
            return wanted
        self._fold(name)
        return wanted.folded()

    def _fold(self, name: str) -> None:
        counter = self._counters.setdefault(series(FOLDED, name=name), Counter())
        counter.add()
