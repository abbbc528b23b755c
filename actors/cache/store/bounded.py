"""Values within a bound of bytes: what is used more often stays."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import chain
from sys import getsizeof
from typing import Generic, TypeVar

from actors.cache.store.segment import Entry, Segment
from actors.cache.store.sketch import COUNT_MAX, Sketch

Value = TypeVar("Value")

ENTRY_OVERHEAD_BYTES = 320
"""Memory of an entry beside its key and its payload. By the parts in CPython 3.11: 96 for the entry, 44 to 88 for its
place in a dict under churn, 33 for the header of a bytes value, 32 for the cost, 20 for rounding up; the rest is what
the allocators lose between values of many sizes. A test measures the whole."""

# On traces like those of tests.bench.cache_policy 10 % won 0.2 points at the most and 40 % lost: not worth adapting.
_WINDOW_PART = 0.01
# In a small store one part in a hundred would not hold a single entry.
_WINDOW_BYTES_MIN = 4096
_PROTECTED_PART = 0.8
# 17 bytes for an entry of 550: nearly two for each use between two ageings, should all of them be of other keys.
_SKETCH_PART = 1 / 32
# Nothing goes for what was used once, not even what is used no more: 0.3 points on Zipf, and all hits in long loops.
_USES_OF_LITTLE_WORTH = 1
_AGEING_USES_PER_ENTRY = 10
_AGEING_USES_MIN = 1000


def _ignore(_key: str, _value: object) -> None:
    """Nobody needs to know."""


class BoundedStore(Generic[Value]):
    """Keys to values within a bound of bytes, each admitted only in place of what is used less.

    New entries pass a window, the most recent 1 % of the bytes. One that leaves it is a candidate: it stays if it was
    used more than once and more than all those together that would have to go for it, oldest first; so a large entry
    has to be worth the many small ones that it displaces. A second use moves an entry from probation to the protected
    four fifths. Uses of entries are counted in them, those of other keys in a sketch, and all counts are halved after
    ten uses for each entry.

    The bound counts memory: payloads, keys, the objects around them, and the sketch, a 32nd part of it. Where a value
    is more than one bytes object, the caller adds the rest of its objects to the size. What the caller keeps beside the
    store, it may have count too: ``reserve``.

    Source: W-TinyLFU (Einziger, Friedman, Manes, TinyLFU, ACM TOS 13(4), 2017), and for sizes their AV (Lightweight
    robust size aware cache management, ACM TOS 18(3), 2022).
    """

    def __init__(self, bound_bytes: int, *, evicted: Callable[[str, Value], None] = _ignore) -> None:
        """Make an empty store.

        ``evicted`` is called once with each value that the store lets go by itself, after it has gone: to make room, or
        because it was not worth a place when it left the window. It is not called for what is removed, for a value in
        whose place ``put`` has stored another, nor for one that ``put`` itself refused. It must not change the store.
        """
        self._evicted = evicted
        self._sketch = Sketch(int(bound_bytes * _SKETCH_PART))
        self._reservable = (bound_bytes * 3) // 4 - self._sketch.size_bytes
        self._reserved = 0
        self._bound = bound_bytes - self._sketch.size_bytes
        assert self._bound > 0, bound_bytes
        self._window_bound = max(int(self._bound * _WINDOW_PART), min(self._bound // 4, _WINDOW_BYTES_MIN))
        self._protected_bound = int((self._bound - self._window_bound) * _PROTECTED_PART)
        self._entries: dict[str, Entry[Value]] = {}
        self._window: Segment[Value] = Segment()
        self._probation: Segment[Value] = Segment()
        self._protected: Segment[Value] = Segment()
        self._used = 0
        self._evictions = 0
        self._uses_until_ageing = _AGEING_USES_MIN

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    @property
    def bytes_used(self) -> int:
        """Memory in use, what is reserved included; never more than the bound."""
        return self._used + self._sketch.size_bytes + self._reserved

    @property
    def evictions(self) -> int:
        """How often ``evicted`` was called."""
        return self._evictions

    def get(self, key: str) -> Value | None:
        """Return the value, or None. Either is a use of the key; once in ten uses for each entry it ages all counts,
        which takes about 4 ms for 100,000 entries."""
        self._uses_until_ageing -= 1
        if self._uses_until_ageing < 0:
            self._age()
        entry = self._entries.get(key)
        if entry is None:
            self._sketch.add(key)
            return None
        if entry.uses < COUNT_MAX:
            entry.uses += 1
        segment = entry.segment
        if segment is self._probation:
            self._promote(entry)
        elif segment.newest is not entry:
            segment.renew(entry)
        return entry.value

    def peek(self, key: str) -> Value | None:
        """Return the value, or None, without counting a use."""
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def put(self, key: str, value: Value, size_bytes: int) -> bool:
        """Store a value whose payload has this size, in place of the key's former one; return whether it was kept.

        It is refused where it is larger than the window and not worth a place, and then the former value has gone too.
        """
        assert size_bytes >= 0
        cost = size_bytes + getsizeof(key) + ENTRY_OVERHEAD_BYTES
        known = self._entries.get(key)
        if known is None:
            return self._insert(Entry(key, value, cost, self._sketch.count(key)))
        if cost <= known.cost:
            known.segment.bytes_used -= known.cost - cost
            self._used -= known.cost - cost
            known.cost = cost
            known.value = value
            return True
        self._take_out(known)
        if self._insert(Entry(key, value, cost, known.uses)):
            return True
        self._report(known)
        return False

    def reserve(self, size_bytes: int) -> None:
        """Leave so much of the bound to what is kept beside the store, in place of what was reserved before; evict what
        has no room any more. A quarter of the bound stays the store's, whatever is asked for. Safe to repeat."""
        size_bytes = min(size_bytes, self._reservable)
        self._bound -= size_bytes - self._reserved
        self._reserved = size_bytes
        self._make_room()

    def remove(self, key: str) -> Value | None:
        """Forget the key and return its value, or None; how often it was used is remembered."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._take_out(entry)
        return entry.value

    def hottest(self, count: int) -> list[str]:
        """Return up to ``count`` keys, those used most first. Looks at every entry: 10 ms for 100,000."""
        most = heapq.nlargest(count, self._entries.values(), key=lambda entry: entry.uses)
        return [entry.key for entry in most]

    def _insert(self, entry: Entry[Value]) -> bool:
        if entry.cost > self._window_bound:
            return self._insert_large(entry)
        self._take_in(entry, self._window)
        while self._window.bytes_used > self._window_bound:
            self._leave_window(self._window.oldest)
        # The window takes back what the rest used of it.
        self._make_room()
        return True

    def _make_room(self) -> None:
        # The window alone is smaller than the bound, so others are there.
        while self._used > self._bound:
            self._evict((self._probation if self._probation.bytes_used else self._protected).oldest)

    def _insert_large(self, entry: Entry[Value]) -> bool:
        """Admit or refuse what does not fit into the window."""
        if entry.cost > self._bound:
            return False
        victims = self._outdone_by(entry, self._used + entry.cost - self._bound)
        if victims is None:
            return False
        for victim in victims:
            self._evict(victim)
        self._take_in(entry, self._probation)
        return True

    def _leave_window(self, candidate: Entry[Value]) -> None:
        victims = self._outdone_by(candidate, min(candidate.cost, self._used - self._bound))
        self._window.unlink(candidate)
        self._probation.link(candidate)
        for victim in [candidate] if victims is None else victims:
            self._evict(victim)

    def _outdone_by(self, candidate: Entry[Value], need_bytes: int) -> list[Entry[Value]] | None:
        """Return what goes to free so many bytes for the candidate, or None if that is worth no less than it is."""
        victims: list[Entry[Value]] = []
        if need_bytes <= 0:
            return victims
        uses = 0
        for victim in chain(self._probation, self._protected):
            uses += victim.uses
            if candidate.uses <= max(uses, _USES_OF_LITTLE_WORTH):
                return None
            victims.append(victim)
            need_bytes -= victim.cost
            if need_bytes <= 0:
                return victims
        return None

    def _promote(self, entry: Entry[Value]) -> None:
        """Protect an entry that was used again, at the cost of those whose last use is longest ago."""
        probation, protected = self._probation, self._protected
        probation.unlink(entry)
        protected.link(entry)
        while protected.bytes_used > self._protected_bound:
            oldest = protected.oldest
            protected.unlink(oldest)
            probation.link(oldest)

    def _evict(self, entry: Entry[Value]) -> None:
        self._take_out(entry)
        self._report(entry)

    def _report(self, entry: Entry[Value]) -> None:
        self._evictions += 1
        self._evicted(entry.key, entry.value)

    def _take_in(self, entry: Entry[Value], segment: Segment[Value]) -> None:
        self._entries[entry.key] = entry
        segment.link(entry)
        self._used += entry.cost

    def _take_out(self, entry: Entry[Value]) -> None:
        del self._entries[entry.key]
        entry.segment.unlink(entry)
        self._used -= entry.cost
        self._sketch.at_least(entry.key, entry.uses)

    def _age(self) -> None:
        self._uses_until_ageing = max(_AGEING_USES_MIN, _AGEING_USES_PER_ENTRY * len(self._entries))
        self._sketch.age()
        for entry in self._entries.values():
            entry.uses >>= 1
