"""What is compared: ours, two that everybody knows, and one that knows the future."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from sys import getsizeof
from typing import Protocol

from actors.cache.store.bounded import ENTRY_OVERHEAD_BYTES, BoundedStore

PAYLOAD_BYTES = 200


class Policy(Protocol):
    """A cache of a number of entries that are all of one size."""

    def use(self, key: str) -> bool:
        """Use a key and return whether it was there; otherwise it is loaded and offered."""
        ...


class Ours:
    """The store of the near caches and of the shards, with a bound in which so many entries fit."""

    def __init__(self, capacity: int, trace: Sequence[str]) -> None:
        cost = PAYLOAD_BYTES + getsizeof(trace[0]) + ENTRY_OVERHEAD_BYTES
        self._store: BoundedStore[bool] = BoundedStore(capacity * cost * 32 // 31)

    def use(self, key: str) -> bool:
        if self._store.get(key):
            return True
        self._store.put(key, True, PAYLOAD_BYTES)
        return False


class Lru:
    """Least recently used goes."""

    def __init__(self, capacity: int, _trace: Sequence[str]) -> None:
        self._capacity = capacity
        self._keys: OrderedDict[str, None] = OrderedDict()

    def use(self, key: str) -> bool:
        if key in self._keys:
            self._keys.move_to_end(key)
            return True
        self._keys[key] = None
        if len(self._keys) > self._capacity:
            self._keys.popitem(last=False)
        return False


class Fifo:
    """First in, first out."""

    def __init__(self, capacity: int, _trace: Sequence[str]) -> None:
        self._capacity = capacity
        self._keys: OrderedDict[str, None] = OrderedDict()

    def use(self, key: str) -> bool:
        if key in self._keys:
            return True
        self._keys[key] = None
        if len(self._keys) > self._capacity:
            self._keys.popitem(last=False)
        return False


class BestStatic:
    """The keys that the whole trace uses most, from the beginning and for ever: nobody could choose them in advance."""

    def __init__(self, capacity: int, trace: Sequence[str]) -> None:
        self._keys = frozenset(key for key, _ in Counter(trace).most_common(capacity))

    def use(self, key: str) -> bool:
        return key in self._keys


POLICIES: dict[str, Callable[[int, Sequence[str]], Policy]] = {
    "ours": Ours,
    "lru": Lru,
    "fifo": Fifo,
    "best static": BestStatic,
}
