"""Counters of a process by name and labels, for whoever sums those of many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Series(NamedTuple):
    """One counter: what it counts, and the values of its labels, in the order that its name stands for.

    Labels have few values, none of them an id: whoever sums remembers each series for as long as it runs.
    """

    name: str
    labels: tuple[str, ...]


Tallies = Mapping[Series, float]
"""What was counted since the process started; none ever falls."""


class Counters:
    """Counters that are added to one by one."""

    def __init__(self) -> None:
        self._counts: dict[Series, float] = {}

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Raise a counter."""
        series = Series(name, labels)
        self._counts[series] = self._counts.get(series, 0) + by

    def tallies(self) -> Tallies:
        """Return all of them as they are now."""
        return dict(self._counts)
