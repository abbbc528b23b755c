"""What one process keeps of the cache, and whether it may still be served."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable

from actors.cache.store.bounded import BoundedStore

_REMEMBERED_MAX = 10_000
# Measured: a `NearEntry` with the numbers that it alone refers to.
_ENTRY_BYTES = 168


class NearSession:
    """This process's standing at one shard.

    ``valid_until``, on the monotonic clock: until then the shard tells of every change before it happens, so what is
    held under this session is current. ``sequence``: the invalidations up to this number have been applied.

    ``near_until``: until then no other cluster changes anything; ``reign_floor``: what was given before this number of
    invalidations is void, for there was one since.
    """

    __slots__ = ("_floor", "_recent", "drops", "id", "near_until", "reign_floor", "sequence", "valid_until")

    def __init__(self, session: int, sequence: int, valid_until: float, near_until: float = math.inf) -> None:
        self.id = session
        self.sequence = sequence
        self.valid_until = valid_until
        self.drops: list[tuple[str, int]] = []
        self._recent: OrderedDict[str, int] = OrderedDict()
        self._floor = sequence
        self.near_until = near_until
        self.reign_floor = 0

    def apply(self, sequence: int, keys: Iterable[str]) -> None:
        """Note that these keys were invalidated by changes up to this number."""
        for key in keys:
            self._recent[key] = max(sequence, self._recent.pop(key, 0))
        while len(self._recent) > _REMEMBERED_MAX:
            _, forgotten = self._recent.popitem(last=False)
            self._floor = max(self._floor, forgotten)

    def is_current(self, key: str, sequence: int) -> bool:
        """Say whether an answer that the shard gave at this number tells of a state that still holds, as far as this
        process has heard: a change may have overtaken it on the wire."""
        return sequence >= max(self._floor, self.reign_floor) and self._recent.get(key, 0) <= sequence

    def end(self) -> None:
        """Nothing held under this session may be served any more."""
        self.valid_until = 0.0


class NearEntry:
    """A value with the session and the permission under which it is held, given at number ``sequence``."""

    __slots__ = ("expires_at", "hold", "sequence", "session", "value", "version")

    def __init__(
        self,
        value: bytes | None,
        version: int,
        expires_at: float,
        session: NearSession,
        hold: int,
        sequence: int = sys.maxsize,
    ) -> None:
        self.value = value
        self.version = version
        self.expires_at = expires_at
        self.session = session
        self.hold = hold
        self.sequence = sequence

    def is_current(self, now: float) -> bool:
        """Say whether it may be served at this moment."""
        session = self.session
        return (
            session.valid_until > now
            and self.expires_at > now
            and session.near_until > now
            and self.sequence >= session.reign_floor
        )


class NearCache:
    """The values that a process holds, within a bound of bytes."""

    def __init__(self, bound_bytes: int, evicted: Callable[[str], None] = lambda _: None) -> None:
        """``evicted`` is told of each key that had to go, or never got in, for want of room."""
        self._evicted = evicted
        self._store: BoundedStore[NearEntry] = BoundedStore(bound_bytes, evicted=self._evict)

    def __len__(self) -> int:
        return len(self._store)

    def get(self, key: str, now: float) -> NearEntry | None:
        """Return what may be served at this moment."""
        entry = self._store.get(key)
        if entry is None:
            return None
        if entry.is_current(now):
            return entry
        self._store.remove(key)
        _report(key, entry)
        return None

    def keep(self, key: str, entry: NearEntry) -> None:
        """Hold a value for as long as there is room."""
        if not self._store.put(key, entry, _ENTRY_BYTES + (len(entry.value) if entry.value is not None else 0)):
            self._evict(key, entry)

    def drop(self, keys: Iterable[str]) -> None:
        """Forget what was invalidated."""
        for key in keys:
            self._store.remove(key)

    def _evict(self, key: str, entry: NearEntry) -> None:
        _report(key, entry)
        self._evicted(key)


def _report(key: str, entry: NearEntry) -> None:
    """Have the shard know that the key is not held any more."""
    entry.session.drops.append((key, entry.hold))
