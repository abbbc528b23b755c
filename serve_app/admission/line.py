"""A waiting line with priorities, fair between merchants.

Smaller priorities go first, always. Within one, the merchant who holds the fewest places goes first, and of his
requests the oldest: max-min fairness in places held, so a merchant whose requests are slow gets fewer of them through,
not more of the places. The merchants who wait are looked through for each choice: a microsecond for ten of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What can stand in a line."""

    @property
    def merchant(self) -> Hashable:
        """Whose it is."""
        ...

    @property
    def priority(self) -> int:
        """Smaller goes first."""
        ...


_Entry = TypeVar("_Entry", bound=Waiting)


class WaitingLine(Generic[_Entry]):
    """Entries by priority and merchant. Bounded by whoever adds to it."""

    def __init__(self, priorities: int) -> None:
        self._classes: list[dict[Hashable, deque[_Entry]]] = [{} for _ in range(priorities)]
        self._counts = [0] * priorities
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[_Entry]:
        return (entry for merchants in self._classes for entries in merchants.values() for entry in entries)

    def count(self, priority: int) -> int:
        """Return how many of this priority wait."""
        return self._counts[priority]

    def add(self, entry: _Entry) -> None:
        """Put an entry behind those of its merchant and priority."""
        self._classes[entry.priority].setdefault(entry.merchant, deque()).append(entry)
        self._counts[entry.priority] += 1
        self._total += 1

    def first(self, held_by: Callable[[Hashable], int]) -> _Entry | None:
        """Return the entry whose turn it is, which stays; `held_by` says how many places a merchant holds."""
        for merchants in self._classes:
            if merchants:
                return (
                    min(merchants.items(), key=lambda pair: held_by(pair[0]))[1][0]
                    if len(merchants) > 1
                    else (next(iter(merchants.values()))[0])
                )
        return None

    def last(self) -> _Entry | None:
        """Return the entry that is missed least: the newest of whoever waits with most, in the least priority."""
        for merchants in reversed(self._classes):
            if merchants:
                return max(merchants.values(), key=len)[-1]
        return None

    def remove(self, entry: _Entry) -> None:
        """Take an entry out, wherever it stands."""
        merchants = self._classes[entry.priority]
        entries = merchants[entry.merchant]
        entries.remove(entry)
        if not entries:
            del merchants[entry.merchant]
        self._counts[entry.priority] -= 1
        self._total -= 1

    def ahead_of(self, priority: int, merchant: Hashable) -> int:
        """Return how many would go before a newcomer, at most: everything of smaller priority, and, since merchants of
        the same priority take turns, as many of each as he himself has there with the new one."""
        merchants = self._classes[priority]
        ahead = sum(self._counts[:priority])
        if not merchants:
            return ahead
        own = len(merchants[merchant]) if merchant in merchants else 0
        others = len(merchants) - (1 if own else 0)
        return ahead + min(self._counts[priority], own + others * (own + 1))
