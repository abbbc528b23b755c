"""One shard's place in the ring: which version it serves, and what it must have let go of before it serves the next."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from actors.cache.ring import Ring
from actors.cache.sharding.stored import RingVersion, StoredRing
from actors.runtime.errors import Unavailable

_COME_AGAIN_S = 0.2


class Followed(Enum):
    """What news of the ring means for a shard."""

    NOTHING = auto()
    RETIRE = auto()
    """A change has begun: end every session, and drop what will be another's."""
    FORGET = auto()
    """Changes went by unheard: drop what is another's, and whatever Redis has."""
    RECOVER = auto()
    """They went by while it served: let the leases that it gave run out as well."""


class Membership:
    """What one shard knows of the ring, and the version that it serves. A shard serves the ring in force if it is in
    it, and none while that is changing: this is how a shard that starts in the middle of a change takes part in it.
    """

    def __init__(self, name: str, stored: StoredRing) -> None:
        self._name = name
        self._stored = stored
        self._serving = self._in_force()
        self._retired_at: tuple[int, bool] | None = None

    @property
    def serving(self) -> RingVersion | None:
        """The ring that is served now."""
        return self._serving

    @property
    def step(self) -> tuple[int, bool]:
        """How far the ring has come, as far as this shard knows."""
        return self._stored.step

    def follow(self, stored: StoredRing) -> Followed:
        """Take news of the ring, and say what has to be done about it; after that, ``serve``. Old news is nothing."""
        known = self._stored.step
        if stored.step < known or (stored.step == known and (stored.next is None or self._retired_at == known)):
            return Followed.NOTHING
        was_serving, self._serving, self._stored = self._serving is not None, None, stored
        if stored.next is not None:
            # Also where it has known that since its start: what it has found in Redis since then may be another's.
            self._retired_at = stored.step
            return Followed.RETIRE
        if known == (stored.version - 1, True):
            return Followed.NOTHING
        return Followed.RECOVER if was_serving else Followed.FORGET

    def serve(self) -> int:
        """Serve the ring in force if this shard is in it; return the version that is served, 0: none."""
        if self._serving is None:
            self._serving = self._in_force()
        return self._serving.number if self._serving is not None else 0

    def loses_keys(self) -> bool:
        """Say whether keys leave this shard with the change that is under way. Consistent hashing moves keys to shards
        that are new, and from those that go, and no others."""
        following = self._stored.next
        if following is None:
            return False
        return self._name not in following.shards or not set(following.shards) <= set(self._stored.current.shards)

    def owns(self) -> Callable[[str], bool]:
        """Return what says of a key, or of the tag that it is routed by, whether it is this shard's in the ring that
        comes, or where none does, in the one in force."""
        shards = (self._stored.next or self._stored.current).shards
        if self._name not in shards:
            return lambda _: False
        ring = Ring(shards)
        return lambda key: ring.owner(key) == self._name

    def admit(self, version: int) -> RingVersion | None:
        """Return None where a client that routes by this version may have a session; else the ring to route by.

        Raises:
            Unavailable: the ring is changing.
        """
        known = self._stored.current
        if self._stored.next is not None or version > known.number:
            raise Unavailable(self._name, "the ring of shards is changing", _COME_AGAIN_S)
        if version < known.number:
            return known
        if self._serving is None:
            # It is not in this ring, or has yet to let go of what it held under the one before.
            raise Unavailable(self._name, "it serves no keys", _COME_AGAIN_S)
        return None

    def _in_force(self) -> RingVersion | None:
        current = self._stored.current
        return current if self._stored.next is None and self._name in current.shards else None
