"""A bounded number of series."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from actors.monitor.measures import Select
from actors.monitor.series import Series

COUNTERS_MAX = 5000
HISTOGRAMS_MAX = 300
"""A second of one takes up to 2 KB where latencies vary a hundredfold; most seconds of most take a tenth of that."""
LABEL_SETS_MAX = 1000
"""Of one name: processes as labels are the most that is meant."""
IDLE_S = 300.0
"""What nobody has told of for so long makes room for what is new."""


class Ring(Protocol):
    """A series over time; ``touched_at`` is when it was told of last."""

    touched_at: float


_Ring = TypeVar("_Ring", bound=Ring)
_logger = logging.getLogger(__name__)


class Shelf(Generic[_Ring]):
    """The series of one kind, bounded: in number, and in number of a name.

    What comes past a bound takes the place of what was idle for five minutes, the longest first; where there is none
    such it counts under its name with "other" for each label, and where that is too much, not at all. ``folded`` says
    how often, by name.
    """

    def __init__(self, kind: Callable[[], _Ring], series_max: int, label_sets_max: int = LABEL_SETS_MAX) -> None:
        self._kind = kind
        self._series_max = series_max
        self._label_sets_max = label_sets_max
        self._rings: dict[Series, _Ring] = {}
        self._names: defaultdict[str, dict[Series, _Ring]] = defaultdict(dict)
        self._full_until: dict[str, float] = {}
        self._chosen: dict[Select, list[tuple[Series, _Ring]]] = {}
        self.folded: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rings)

    def items(self) -> Iterator[tuple[Series, _Ring]]:
        """Yield all series."""
        return iter(self._rings.items())

    def chosen(self, of: Select) -> list[tuple[Series, _Ring]]:
        """Return the series that a selection takes; they are looked through again only after one came or went."""
        chosen = self._chosen.get(of)
        if chosen is None:
            among = self._names.get(of.name, {}).items()
            chosen = self._chosen[of] = [(series, ring) for series, ring in among if of.takes(series)]
        return chosen

    def ring(self, series: Series, now: float) -> _Ring | None:
        """Return where to add to a series, None where there is no room."""
        ring = self._rings.get(series)
        if ring is None:
            ring = self._new(series, now)
            if ring is None:
                return None
        ring.touched_at = now
        return ring

    def _new(self, series: Series, now: float) -> _Ring | None:
        if self._has_room(series.name, now):
            return self._put(series)
        if series.name not in self.folded:
            _logger.warning("too many series of %s: some are counted under 'other'", series.name)
        self.folded[series.name] = self.folded.get(series.name, 0) + 1
        other = series.folded()
        known = self._rings.get(other)
        # One more for each name is no way around the bound: names are bounded by what has room at all.
        return known or (self._put(other) if self._names.get(series.name) else None)

    def _has_room(self, name: str, now: float) -> bool:
        if len(self._names.get(name, {})) >= self._label_sets_max:
            return self._evict(name, self._names[name].items(), now)
        return len(self._rings) < self._series_max or self._evict("", self._rings.items(), now)

    def _evict(self, scope: str, among: Iterable[tuple[Series, _Ring]], now: float) -> bool:
        if now < self._full_until.get(scope, now):
            # To look through all for each of a flood of new ones would cost more than the flood.
            return False
        series, ring = min(among, key=lambda each: each[1].touched_at)
        if now - ring.touched_at < IDLE_S:
            self._full_until[scope] = ring.touched_at + IDLE_S
            return False
        del self._rings[series], self._names[series.name][series]
        if not self._names[series.name]:
            del self._names[series.name]
        self._chosen.clear()
        return True

    def _put(self, series: Series) -> _Ring:
        ring = self._rings[series] = self._names[series.name][series] = self._kind()
        self._chosen.clear()
        return ring
