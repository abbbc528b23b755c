"""Which ring of shards is in force, as it is kept where it outlives every actor."""

from __future__ import annotations

from typing import NamedTuple, Protocol

SHARDS_MAX = 64
SHARD_PREFIX = "cache-shard-"
"""What the name of every shard begins with."""


def shard_names(count: int) -> tuple[str, ...]:
    """Return the names of the shards of a cache that has so many. The first is in every ring."""
    return tuple(f"{SHARD_PREFIX}{number}" for number in range(count))


class RingVersion(NamedTuple):
    """A ring by its number, which rises with every change, and the names of its shards."""

    number: int
    shards: tuple[str, ...]


class StoredRing(NamedTuple):
    """The ring of version ``version`` has so many ``shards``, and an operator wants ``wanted``.

    While ``changing_to`` is a count, that ring is on its way out: each of its shards retires, and none that starts
    serves it. Then the next version, of so many shards, takes its place.
    """

    version: int
    shards: int
    changing_to: int | None
    wanted: int

    @property
    def current(self) -> RingVersion:
        """The ring in force, or the one that was until the change began."""
        return RingVersion(self.version, shard_names(self.shards))

    @property
    def next(self) -> RingVersion | None:
        """The ring that will be in force after the change that is under way."""
        return None if self.changing_to is None else RingVersion(self.version + 1, shard_names(self.changing_to))

    @property
    def settled(self) -> bool:
        """Whether there is nothing to change."""
        return self.changing_to is None and self.wanted == self.shards

    @property
    def members(self) -> tuple[str, ...]:
        """The shards that have to run: of the ring in force, of the next, and of the one that is wanted."""
        return shard_names(max(self.shards, self.changing_to or 0, self.wanted))

    @property
    def step(self) -> tuple[int, bool]:
        """How far the ring has come. It only rises, so that old news is told from new."""
        return self.version, self.changing_to is not None


class Rings(Protocol):
    """The ring of one gateway, kept where it outlives the actors. Calls raise ``Unavailable``; all may be repeated."""

    async def read(self) -> StoredRing:
        """Return the ring. Raises ``Unavailable`` too where there is none yet."""
        ...

    async def want(self, count: int) -> StoredRing:
        """Have so many shards be wanted; nothing changes by that yet."""
        ...

    async def begin(self, version: int, count: int) -> StoredRing:
        """Begin the change from this version to a ring of so many, unless another change was quicker."""
        ...

    async def activate(self, version: int) -> StoredRing:
        """End the change that began at this version: its successor is in force. Nothing happens where it was ended."""
        ...
