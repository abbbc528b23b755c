"""A heap of keyed items that can be removed or given another key."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)
Key = TypeVar("Key", float, tuple[float, float])

_STALE_MIN = 64


class Heap(Generic[Item, Key]):
    """Items by key, smallest first; of equal keys the one that was pushed first.

    A removed entry stays in the list until it surfaces or until such entries are the larger part, so every operation
    costs O(log n), amortized, and memory stays within twice what is live.
    """

    __slots__ = ("_entries", "_live", "_pushed")

    def __init__(self) -> None:
        self._entries: list[tuple[Key, int, Item]] = []
        self._live: dict[Item, tuple[Key, int, Item]] = {}
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, item: Item) -> bool:
        return item in self._live

    def push(self, item: Item, key: Key) -> None:
        """Add an item, or give it another key."""
        self._pushed += 1
        entry = (key, self._pushed, item)
        self._live[item] = entry
        heapq.heappush(self._entries, entry)
        if len(self._entries) > 2 * len(self._live) + _STALE_MIN:
            self._entries = list(self._live.values())
            heapq.heapify(self._entries)

    def remove(self, item: Item) -> bool:
        """Take an item out, wherever it is; False where it is not."""
        return self._live.pop(item, None) is not None

    def first(self) -> tuple[Key, Item] | None:
        """Return the smallest key with its item, which stays."""
        entries, live = self._entries, self._live
        while entries:
            entry = entries[0]
            if live.get(entry[2]) is entry:
                return entry[0], entry[2]
            heapq.heappop(entries)
        return None

    def pop(self) -> Item:
        """Take the item of the smallest key. It must not be empty."""
        first = self.first()
        assert first is not None
        heapq.heappop(self._entries)
        del self._live[first[1]]
        return first[1]
