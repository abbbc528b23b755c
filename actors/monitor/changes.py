"""What was changed lately, for whoever asks what an alert may come from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from actors.monitor.messages import Change

CHANGES_MAX = 200
SAME_WITHIN = timedelta(seconds=10)
SHOWN = 5
BEFORE = timedelta(minutes=10)
# Clocks of machines differ.
_AHEAD = timedelta(seconds=5)


class Changes:
    """Keep the last changes. What several processes tell within ten seconds in the same words was one change."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque(maxlen=CHANGES_MAX)

    def add(self, told: Iterable[Change]) -> None:
        """Take what a process told."""
        for change in told:
            if not any(_is_same(change, known) for known in reversed(self._changes)):
                self._changes.append(change)

    def all(self) -> tuple[Change, ...]:
        """Return all of them, the oldest first."""
        return tuple(sorted(self._changes, key=lambda each: each.at))

    def before(self, wall: datetime) -> tuple[Change, ...]:
        """Return the last five of the ten minutes before a time, the oldest first."""
        return tuple(each for each in self.all() if wall - BEFORE <= each.at <= wall + _AHEAD)[-SHOWN:]


def _is_same(change: Change, known: Change) -> bool:
    return change[1:] == known[1:] and abs(change.at - known.at) <= SAME_WITHIN
