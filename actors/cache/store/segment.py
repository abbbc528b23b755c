"""Entries of one standing in the order of their last use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, cast

Value = TypeVar("Value")


class Entry(Generic[Value]):
    """One key with its value, linked into its segment. ``cost`` is in bytes, ``uses`` is a count that ages."""

    __slots__ = ("cost", "key", "newer", "older", "segment", "uses", "value")

    def __init__(self, key: str, value: Value, cost: int, uses: int) -> None:
        self.key = key
        self.value = value
        self.cost = cost
        self.uses = uses
        self.segment: Segment[Value]
        self.newer: Entry[Value]
        self.older: Entry[Value]


class Segment(Generic[Value]):
    """A ring of links through the entries themselves, which closes in ``root``, itself no entry.

    An `OrderedDict` for each segment would take no less memory and a second look-up for every use.
    """

    __slots__ = ("bytes_used", "root")

    def __init__(self) -> None:
        root: Entry[Value] = Entry("", cast(Value, None), 0, 0)
        root.newer = root.older = root
        self.root = root
        self.bytes_used = 0

    def __iter__(self) -> Iterator[Entry[Value]]:
        """Yield the entries, oldest first."""
        entry, root = self.root.newer, self.root
        while entry is not root:
            yield entry
            entry = entry.newer

    @property
    def oldest(self) -> Entry[Value]:
        """The entry that was not used for longest; ``root`` where there is none."""
        return self.root.newer

    @property
    def newest(self) -> Entry[Value]:
        """The entry that was used last; ``root`` where there is none."""
        return self.root.older

    def link(self, entry: Entry[Value]) -> None:
        """Take in an entry that is in no segment, as the newest."""
        entry.segment = self
        self.bytes_used += entry.cost
        self._append(entry)

    def unlink(self, entry: Entry[Value]) -> None:
        """Let an entry of this segment go."""
        self.bytes_used -= entry.cost
        entry.older.newer, entry.newer.older = entry.newer, entry.older

    def renew(self, entry: Entry[Value]) -> None:
        """Make an entry of this segment its newest."""
        entry.older.newer, entry.newer.older = entry.newer, entry.older
        self._append(entry)

    def _append(self, entry: Entry[Value]) -> None:
        root = self.root
        newest = root.older
        entry.older, entry.newer = newest, root
        newest.newer = root.older = entry
