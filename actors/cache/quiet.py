"""Tags under which nothing is cached: whoever changes what is grouped under one need not tell anybody.

A merchant that takes payments changes its lists with each of them, and mostly nobody reads those lists. The shard
lets a writer know that it holds nothing under a tag, and takes that back before it does; readers that come meanwhile
go to the database. The roles are those of a near copy, with the writer as the holder.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence

from actors.cache.near import NearSession

_PREFIX = "quiet:"
_TAGS_MAX = 10_000


def quiet_name(tag: str) -> str:
    """Return the name under which the shard's directory keeps who believes that nothing is cached under a tag."""
    return _PREFIX + tag


class QuietTags:
    """The quiet tags of one process, and the transitions that rely on them."""

    def __init__(self) -> None:
        self._granted: OrderedDict[str, tuple[NearSession, int]] = OrderedDict()
        self._relying: dict[str, dict[object, Callable[[], Awaitable[object]]]] = {}

    def grant(self, session: NearSession, sequence: int, tags: Iterable[tuple[str, int]]) -> None:
        """Take the shard's word, given at this number of its invalidations, unless it has taken it back since."""
        for tag, hold in tags:
            if session.is_current(quiet_name(tag), sequence):
                self._granted[tag] = (session, hold)
                self._granted.move_to_end(tag)
        while len(self._granted) > _TAGS_MAX:
            tag, (owner, hold) = self._granted.popitem(last=False)
            owner.drops.append((quiet_name(tag), hold))

    def is_quiet(self, tag: str, until: float) -> bool:
        """Say whether nothing is cached under the tag, at least up to that moment of the clock."""
        granted = self._granted.get(tag)
        return granted is not None and granted[0].valid_until > until

    def rely(self, tag: str, transition: object, register: Callable[[], Awaitable[object]]) -> None:
        """Note that a transition counts on the tag being quiet; ``register`` has the shard know of it after all."""
        self._relying.setdefault(tag, {})[transition] = register

    def leave(self, tag: str, transition: object) -> None:
        """The transition counts on it no more."""
        relying = self._relying.get(tag)
        if relying is not None:
            relying.pop(transition, None)
            if not relying:
                del self._relying[tag]

    def revoke(self, keys: Sequence[str]) -> list[Callable[[], Awaitable[object]]]:
        """Take back what the shard has taken back; return what registers the transitions that counted on it, which has
        to be done before the shard hears that this process knows."""
        registers: list[Callable[[], Awaitable[object]]] = []
        for key in keys:
            if key.startswith(_PREFIX):
                tag = key[len(_PREFIX) :]
                self._granted.pop(tag, None)
                registers += self._relying.pop(tag, {}).values()
        return registers
