"""Which link leads to a key's shard: by the ring that this process knows of, until a shard tells of the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from actors.cache.link import ShardLink, ShardPort
from actors.cache.ring import Ring
from actors.cache.sharding.stored import RingVersion

_UNKNOWN = 0
"""The version that no shard serves: the first one that answers says which ring is in force."""


class Owned(NamedTuple):
    """What of some keys and tags one shard owns."""

    link: ShardLink
    keys: tuple[str, ...]
    tags: tuple[str, ...]


class Routes:
    """The links of one process, all of one version of the ring.

    A session belongs to one version, and when the process hears of another all of them have ended: so what is routed
    by an old ring meets no session, and what is begun under one is routed anew.
    """

    def __init__(
        self,
        shards: Sequence[str],
        connect: Callable[[str], ShardPort],
        link: Callable[[str, ShardPort, RingVersion], ShardLink],
    ) -> None:
        """``shards`` are those to ask at first, of which one has to run; ``connect`` gives the way to one of a name,
        ``link`` makes a link for a ring."""
        self._connect = connect
        self._make_link = link
        self._ports: dict[str, ShardPort] = {}
        self._links: dict[str, ShardLink] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._is_started = False
        self._take(RingVersion(_UNKNOWN, tuple(shards)))

    @property
    def version(self) -> int:
        """The version of the ring, 0 before any shard has told of it."""
        return self._version

    @property
    def links(self) -> Sequence[ShardLink]:
        """The links to all shards, in the order of their names in the ring."""
        return list(self._links.values())

    def start(self) -> None:
        """Begin sessions with the shards."""
        self._is_started = True
        for link in self._links.values():
            self._keep_up(link)

    async def close(self) -> None:
        """End the sessions and the connections."""
        self._is_started = False
        tasks = list(self._keeping)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for port in self._ports.values():
            port.close()

    def follow(self, ring: RingVersion) -> None:
        """Route by this ring from now on, unless a later one is known. Every session ends by that.

        Ways to shards that are gone stay, for calls may be on them still: their connections end with the shards.
        """
        if ring.number <= self._version:
            return
        for link in self._links.values():
            link.end()
        self._take(ring)
        if self._is_started:
            self.start()

    def owner(self, name: str) -> ShardLink:
        """Return the link to the shard that owns a key, or what is grouped under a tag."""
        return self._links[self._ring.owner(name)]

    def split(self, keys: Iterable[str], tags: Iterable[str]) -> list[Owned]:
        """Part keys and tags by the shards that own them."""
        parts: dict[str, tuple[list[str], list[str]]] = {}
        for key in keys:
            parts.setdefault(self._ring.owner(key), ([], []))[0].append(key)
        for tag in tags:
            parts.setdefault(self._ring.owner(tag), ([], []))[1].append(tag)
        return [
            Owned(self._links[name], tuple(own_keys), tuple(own_tags)) for name, (own_keys, own_tags) in parts.items()
        ]

    def _take(self, ring: RingVersion) -> None:
        self._version = ring.number
        self._ring = Ring(ring.shards)
        self._links = {name: self._make_link(name, self._port(name), ring) for name in ring.shards}

    def _port(self, name: str) -> ShardPort:
        if name not in self._ports:
            self._ports[name] = self._connect(name)
        return self._ports[name]

    def _keep_up(self, link: ShardLink) -> None:
        task = asyncio.get_running_loop().create_task(link.keep_up())
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
