"""How reads ended and how long they took: counted in each process, told to shards in parts, summed by whoever asks.
What else a process counts goes along as tallies.

What a process has counted since it last told, it tells to one shard, with the next listen. The shard adds it to its
account, once, though the message may come twice. So an account begins with nothing when its shard starts, never
falls, and keeps what processes told that have died since; what a shard had in its account dies with it, and what a
process had not told dies with the process. An account is a counter as Prometheus understands one. The sum of all
accounts is not: it falls by a part whenever a shard starts again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from actors.runtime.histogram import Histogram
from actors.runtime.tallies import Series, Tallies

# A report is repeated within seconds, so it is enough to remember those who told last.
_OWNERS_MAX = 500
SERIES_MAX = 2000
"""Tallies of an account. Those that processes have now are some hundreds; what comes past it is not counted."""


@dataclass(slots=True)
class Counts:
    """How reads of one model ended.

    ``joined`` shared a read of their own process, ``waited`` were shard hits or loads that waited for another process's
    load, ``updates`` are new states that a shard sent of what was held near, ``negative_hits`` are those of the hits at
    shards that said there is no such thing. ``loads`` include ``refreshes``, which no read waits for.
    ``stale_refusals`` are answers not kept near, because a change overtook them, ``near_evictions`` values that were
    let go, or never kept, for want of room. ``bypasses`` went to the database because the cache would not say, by
    reason.
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
    near_evictions: int = 0
    bypasses: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ModelMetrics(Counts):
    """How reads of one model ended, and how many seconds they and changes took.

    ``shard_s``: until the shard answered, by which it may have asked Redis; waiting for another process's load is not
    in it. ``load_s``: reads of the database that succeeded, bypasses too. ``begin_s``: how long writers waited before
    they could commit, for shards, by the model of the first key. A near hit takes a microsecond, of which recording
    would be a good part: how long it took is not recorded.
    """

    shard_s: Histogram = field(default_factory=Histogram)
    load_s: Histogram = field(default_factory=Histogram)
    begin_s: Histogram = field(default_factory=Histogram)

    @property
    def reads(self) -> int:
        """All reads."""
        return self.hits + self.loads - self.refreshes + sum(self.bypasses.values())

    @property
    def hits(self) -> int:
        """Reads that cost no load."""
        return self.near_hits + self.joined + self.shard_hits

    def add(self, other: ModelMetrics) -> None:
        """Count what others have counted."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.bypasses.items():
            self.bypasses[reason] = self.bypasses.get(reason, 0) + count
        for name in _HISTOGRAMS:
            getattr(self, name).add(getattr(other, name))

    def since(self, earlier: ModelMetrics) -> ModelMetrics:
        """Return what was counted after ``earlier``, a copy of this at that time."""
        more = ModelMetrics(*(getattr(self, name) - getattr(earlier, name) for name in _NUMBERS))
        for reason, count in self.bypasses.items():
            if count > earlier.bypasses.get(reason, 0):
                more.bypasses[reason] = count - earlier.bypasses.get(reason, 0)
        for name in _HISTOGRAMS:
            setattr(more, name, getattr(self, name).since(getattr(earlier, name)))
        return more


@dataclass(slots=True)
class Finds:
    """How Redis answered a shard that looked for keys of one model. ``find_s``: seconds, for each key those of its
    batch, failures too."""

    hits: int = 0
    misses: int = 0
    failures: int = 0
    find_s: Histogram = field(default_factory=Histogram)


_NUMBERS = tuple(each.name for each in fields(Counts) if each.name != "bypasses")
_HISTOGRAMS = tuple(each.name for each in fields(ModelMetrics)[len(fields(Counts)) :])

_NOTHING = ModelMetrics()

Metrics = Mapping[str, ModelMetrics]
"""By model."""


class Report(NamedTuple):
    """What a process counted since its last report to anybody: of its reads, and of anything else in ``tallies``.
    ``number`` rises with each that one shard is sent; the same one may come again."""

    number: int
    metrics: Metrics
    tallies: Tallies


class Untold:
    """What a process has counted, and what of it no shard was told yet."""

    def __init__(self, metrics: Metrics, tallies: Callable[[], Tallies] = dict) -> None:
        """``metrics`` are counted on by whoever made them; ``tallies`` gives what else was counted so far."""
        self._metrics = metrics
        self._tallies = tallies
        self._told: dict[str, ModelMetrics] = {}
        self._told_tallies: dict[Series, float] = {}

    def take(self) -> Metrics:
        """Return what was counted since this was last asked for; nothing of models that were not used."""
        new: dict[str, ModelMetrics] = {}
        for model, metrics in self._metrics.items():
            more = metrics.since(self._told.get(model, _NOTHING))
            if more != _NOTHING:
                # A copy, and not the sum of what was told: sums of seconds would drift apart by rounding.
                told = self._told[model] = ModelMetrics()
                told.add(metrics)
                new[model] = more
        return new

    def take_tallies(self) -> Tallies:
        """Return by how much tallies have risen since this was last asked for; one that is new comes also with 0."""
        told = self._told_tallies
        tallies = self._tallies()
        new = {series: count - told.get(series, 0) for series, count in tallies.items() if count != told.get(series)}
        told.update(tallies)
        return new


class Reporter:
    """What a process tells one shard. It is told again until it was heard, and then never."""

    def __init__(self, untold: Untold) -> None:
        self._untold = untold
        self._unheard: Report | None = None
        self._number = 0

    def report(self) -> Report | None:
        """Return what to tell, None where there is nothing new."""
        if self._unheard is None:
            metrics, tallies = self._untold.take(), self._untold.take_tallies()
            if metrics or tallies:
                self._number += 1
                self._unheard = Report(self._number, metrics, tallies)
        return self._unheard

    def heard(self) -> None:
        """The shard has answered what came with the last report."""
        self._unheard = None


class Account:
    """What processes have told one shard since it started."""

    def __init__(self) -> None:
        self.metrics: dict[str, ModelMetrics] = {}
        self.tallies: dict[Series, float] = {}
        self._numbers: OrderedDict[str, int] = OrderedDict()

    def take(self, owner: str, report: Report) -> None:
        """Add a report of a process that has this name, which no other ever has. Safe to repeat."""
        known = self._numbers.pop(owner, 0)
        self._numbers[owner] = max(known, report.number)
        if len(self._numbers) > _OWNERS_MAX:
            self._numbers.popitem(last=False)
        if report.number > known:
            _add(self.metrics, report.metrics)
            self._add_tallies(report.tallies)

    def _add_tallies(self, tallies: Tallies) -> None:
        for series, more in tallies.items():
            if series in self.tallies:
                self.tallies[series] += more
            elif len(self.tallies) < SERIES_MAX:
                self.tallies[series] = more


def summed(accounts: Iterable[Metrics]) -> dict[str, ModelMetrics]:
    """Return the sum of the accounts of shards."""
    total: dict[str, ModelMetrics] = {}
    for account in accounts:
        _add(total, account)
    return total


def _add(total: dict[str, ModelMetrics], metrics: Metrics) -> None:
    for model, more in metrics.items():
        total.setdefault(model, ModelMetrics()).add(more)
