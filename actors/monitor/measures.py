"""Figures as values: what is to be read of the windows, for whoever makes rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from actors.monitor.series import Labels, Series
from actors.runtime.histogram import Histogram


class Merge(Enum):
    """How one gauge of several processes, or several of one name, become one."""

    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Select:
    """The series of a name whose labels have one of these values; a value that ends in ``*`` is a beginning."""

    name: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def takes(self, series: Series) -> bool:
        """Tell whether a series of this name is one of them."""
        return all(_matches(series.label(label), values) for label, values in self.where)


def select(name: str, /, **where: str | tuple[str, ...]) -> Select:
    """Return the series of a name, those alone whose labels have the value, or one of the values."""
    pairs = ((label, (values,) if isinstance(values, str) else values) for label, values in sorted(where.items()))
    return Select(name, tuple(pairs))


class Windows(Protocol):
    """What measures read: the last seconds, as far as they were told. ``by`` names the labels to part by."""

    def span_s(self, span_s: int) -> int:
        """Return how many of the last ``span_s`` seconds there are; fewer only after a start."""
        ...

    def risen(self, of: Select, span_s: int, by: tuple[str, ...]) -> Mapping[Labels, float]:
        """Return by how much counters rose."""
        ...

    def recorded(self, of: Select, span_s: int, by: tuple[str, ...]) -> Mapping[Labels, Histogram]:
        """Return what histograms recorded; nothing that is empty."""
        ...

    def gauges(self, of: Select, by: tuple[str, ...], merge: Merge) -> Mapping[Labels, float]:
        """Return what gauges are now."""
        ...


class Measure(Protocol):
    """A figure of the last ``span_s`` seconds, for each set of values of the labels that it is parted by.

    What cannot be said, such as a ratio of nothing, is left out.
    """

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:
        """Return it."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """By how much a counter rises in a second."""

    of: Select
    by: tuple[str, ...] = ()

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:
        known_s = windows.span_s(span_s)
        if not known_s:
            return {}
        rates = {labels: risen / known_s for labels, risen in windows.risen(self.of, span_s, self.by).items()}
        return rates if self.by else {(): rates.get((), 0.0)}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Which part of some events are these, where there were ``at_least`` so many."""

    part: Select
    of: Select
    by: tuple[str, ...] = ()
    at_least: float = 1

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:
        wholes = windows.risen(self.of, span_s, self.by)
        parts = windows.risen(self.part, span_s, self.by)
        return {
            labels: parts.get(labels, 0.0) / whole
            for labels, whole in wholes.items()
            if whole >= self.at_least and whole > 0
        }


@dataclass(frozen=True, slots=True)
class Quantile:
    """The number that this part of all is no larger than, times ``scale``, where there were ``at_least`` so many.

    Within ``actors.runtime.histogram.RELATIVE_ERROR`` of the exact one over all processes.
    """

    of: Select
    part: float
    scale: float = 1.0
    by: tuple[str, ...] = ()
    at_least: int = 1

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:
        read: dict[Labels, float] = {}
        for labels, histogram in windows.recorded(self.of, span_s, self.by).items():
            value = histogram.quantile(self.part)
            if value is not None and histogram.count >= self.at_least:
                read[labels] = value * self.scale
        return read


@dataclass(frozen=True, slots=True)
class Share:
    """The sum of what was recorded as a part of the sum of something else, such as of the time of all requests."""

    part: Select
    of: Select
    by: tuple[str, ...] = ()

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:
        whole = sum(each.total for each in windows.recorded(self.of, span_s, ()).values())
        if whole <= 0:
            return {}
        return {labels: each.total / whole for labels, each in windows.recorded(self.part, span_s, self.by).items()}


@dataclass(frozen=True, slots=True)
class Value:
    """What a gauge is now. Each that processes set is merged, and those that ``by`` does not part."""

    of: Select
    by: tuple[str, ...] = ()
    merge: Merge = Merge.MAX
    scale: float = 1.0

    def read(self, windows: Windows, span_s: int) -> Mapping[Labels, float]:  # noqa: ARG002 - a gauge has no window
        read = windows.gauges(self.of, self.by, self.merge)
        return read if self.scale == 1.0 else {labels: value * self.scale for labels, value in read.items()}


def scalar(measure: Measure, windows: Windows, span_s: int) -> float | None:
    """Return the largest of the figures, which is the only one where it is not parted; None where there is none."""
    return max(measure.read(windows, span_s).values(), default=None)


def merged(values: list[float], merge: Merge) -> float:
    """Return one of several, of which there is at least one."""
    return max(values) if merge is Merge.MAX else min(values)


def _matches(value: str, wanted: tuple[str, ...]) -> bool:
    return any(value.startswith(each[:-1]) if each.endswith("*") else value == each for each in wanted)
