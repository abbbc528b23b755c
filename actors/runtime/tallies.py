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
