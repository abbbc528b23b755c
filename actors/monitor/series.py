"""What a number is called: a name and labels."""

from __future__ import annotations

from typing import NamedTuple

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

OTHER = "other"
"""The value of every label of what is counted past the bound of label sets."""


class Series(NamedTuple):
    """One number over time. ``name`` is the one that is exposed, ``labels`` are sorted, so that equal means same."""

    name: str
    labels: Labels = ()

    def label(self, name: str) -> str:
        """Return the value of a label, empty where there is none of that name."""
        for each, value in self.labels:
            if each == name:
                return value
        return ""

    def folded(self) -> Series:
        """Return what stands for all series of this name for which there is no room."""
        return Series(self.name, tuple((name, OTHER) for name, _ in self.labels))


def series(name: str, /, **labels: str) -> Series:
    """Return the series with these labels, in whichever order they are given."""
    return Series(name, tuple(sorted(labels.items())) if labels else ())
