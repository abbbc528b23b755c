"""How a job tells how far it is."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    """Shows one step of a job at a time."""

    def begin(self, step: str, total: int | None = None) -> None:
        """Begin a step of so many items, None where nobody knows."""
        ...

    def advance(self, items: int) -> None:
        """Tell of more items that are done."""
        ...
