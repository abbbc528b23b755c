"""The values of a shard, and what makes them void: expiry, a newer version, a change of the tag that they are under."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from sys import getsizeof

from actors.cache.store.bounded import BoundedStore

# Measured: a `Stored` with the numbers that it alone refers to, beside what the store counts for each key.
_STORED_BYTES = 200
# Measured, each with its key.
_TAG_BYTES, _FENCE_BYTES = 220, 250
_FENCES_MIN, _BYTES_PER_FENCE = 1000, 16 * 1024


@dataclass(slots=True)
class Stored:
    """A value; ``sequence`` is the number of invalidations when it was stored, ``load_s`` how long it took to load."""

    value: bytes | None
    version: int
    expires_at: float
    load_s: float
    tag: str | None
    sequence: int


@dataclass(slots=True)
class _Tag:
    """A group of keys that are void at once: those stored before ``sequence``. ``entries`` counts what is stored."""

    sequence: int = 0
    entries: int = 0


class Values:
    """Values by key, within a bound of bytes; which of them stay is ``BoundedStore``'s decision."""

    def __init__(self, bound_bytes: int) -> None:
        self._store: BoundedStore[Stored] = BoundedStore(bound_bytes, evicted=self._gone)
        self._tags: dict[str, _Tag] = {}
        # What protects a key from a late fill is its token; versions guard against loads from a lagging replica, so it
        # is enough to remember those of recent changes.
        self._fences: OrderedDict[str, int] = OrderedDict()
        self._fences_max = max(_FENCES_MIN, bound_bytes // _BYTES_PER_FENCE)

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, key: str) -> bool:
        return key in self._store

    @property
    def bytes_used(self) -> int:
        """Memory in use, never more than the bound."""
        return self._store.bytes_used

    @property
    def evictions(self) -> int:
        """How many values were let go for want of room."""
        return self._store.evictions

    def reserve(self, size_bytes: int) -> None:
        """Leave so much of the bound to others."""
        self._store.reserve(size_bytes + _FENCE_BYTES * len(self._fences))

    def get(self, key: str, now: float) -> Stored | None:
        """Return what is stored and holds; a use of the key, whether or not there is such a thing."""
        stored = self._store.get(key)
        if stored is None:
            return None
        if stored.tag is not None and stored.sequence < self._tags[stored.tag].sequence:
            self._forget(key)
            return None
        if stored.expires_at <= now:
            self._leave_version(key, stored)
            return None
        return stored

    def put(self, key: str, stored: Stored) -> bool:
        """Store a value, if there is room; False where it is older than what is known of the key."""
        known = self._store.peek(key)
        if stored.version < max(self._fences.get(key, 0), known.version if known is not None else 0):
            return False
        size_bytes = _STORED_BYTES + (len(stored.value) if stored.value is not None else 0)
        if stored.tag is not None:
            self._tags.setdefault(stored.tag, _Tag()).entries += 1
            size_bytes += _TAG_BYTES + getsizeof(stored.tag)
        if not self._store.put(key, stored, size_bytes):
            self._gone(key, stored)
        elif known is not None:
            self._gone(key, known)
        return True

    def void(self, key: str) -> None:
        """Forget a value and remember its version: an older one that arrives late is not taken."""
        stored = self._store.peek(key)
        if stored is not None:
            self._leave_version(key, stored)

    def void_tag(self, tag: str, sequence: int) -> None:
        """Forget what was stored under a tag before this number of invalidations."""
        if tag in self._tags:
            self._tags[tag].sequence = sequence

    def under(self, tag: str) -> int:
        """Return how many values are stored under a tag, those that are void not left out."""
        return self._tags[tag].entries if tag in self._tags else 0

    def keys(self) -> list[str]:
        """Return all keys."""
        return self._store.hottest(len(self._store))

    def hottest(self, count: int) -> list[str]:
        """Return the keys that are worth the most, what is under tags not among them."""
        found = self._store.hottest(2 * count)
        return [key for key in found if (stored := self._store.peek(key)) is not None and stored.tag is None][:count]

    def retain(self, owns: Callable[[str], bool]) -> None:
        """Forget what is not owned any more; ``owns`` is asked for keys, and for the tags of what has one."""
        for key in self.keys():
            stored = self._store.peek(key)
            if stored is not None and not owns(stored.tag or key):
                self._forget(key)

    def _leave_version(self, key: str, stored: Stored) -> None:
        self._forget(key)
        if stored.version > 0:
            self._fences.pop(key, None)
            self._fences[key] = stored.version
            if len(self._fences) > self._fences_max:
                self._fences.popitem(last=False)

    def _forget(self, key: str) -> None:
        stored = self._store.remove(key)
        if stored is not None:
            self._gone(key, stored)

    def _gone(self, _key: str, stored: Stored) -> None:
        if stored.tag is None:
            return
        tag = self._tags[stored.tag]
        tag.entries -= 1
        if tag.entries == 0:
            del self._tags[stored.tag]
