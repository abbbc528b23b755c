"""What kind of work a request is: what is let in first, and refused last."""

from __future__ import annotations

from enum import IntEnum


class Work(IntEnum):
    """Kinds of work, the most important first: money that was accepted is brought to its end before new is taken."""

    FINISHING = 0
    """Captures, voids and refunds."""
    CREATING = 1
    """New payments, and changes of what there is."""
    READING = 2
    """One object."""
    LISTING = 3
    """Pages, timelines and exports."""

    def priority(self, *, live: bool) -> int:
        """Return a number, smaller goes first: all live work goes before all test work."""
        return int(self) if live else len(Work) + int(self)
