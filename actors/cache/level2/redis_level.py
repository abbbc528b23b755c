"""The second level of the cache: values that outlive the shards, in a Redis that is neither trusted nor waited for."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from actors.cache.level2.node import RESOURCE, RETRY_AFTER_S
from actors.cache.level2.scripts import GET, HEADER, MARK, PUT
from actors.cache.level2.sealing import SealBroken, Sealer
from actors.cache.level2.server import DEADLINE_S, POOL_SIZE, Command, RedisServer
from actors.runtime.errors import OutcomeUnknown, Unavailable

STAMP_MAX = 2**53 - 1
"""Lua, which compares them, counts in doubles."""
# Writes live for seconds: a load for 3 s, a lease for 2 s, a call for 0.25 s. The rest is for processes that stall.
TOMBSTONE_TTL_S = 120.0
HOT_KEYS_MAX = 1000
HOT_KEYS_TTL_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Put:
    """A value to store. ``stamp`` was drawn before what it holds was read, and ``version`` orders what was read."""

    key: str
    stamp: int
    version: int
    data: bytes
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """A value that was stored."""

    stamp: int
    version: int
    data: bytes


class RedisLevel:
    """Entries that are replaced by comparison alone, so that writes may arrive late, twice, or in any order.

    A stamp is ``incarnation`` * 2**32 + a sequence: it rises over all of a shard's life and restarts. For
    ``tombstone_ttl_s`` after a mark or an accepted put, Redis knows its stamp, and the highest version of the key:

    - no put is stored whose stamp is not above that of a mark, whoever sends it and whenever it arrives;
    - no put is stored over a higher stamp, or over a higher version.

    Not guaranteed: what Redis forgets. Restarts and failovers show in ``identity``. Eviction (``maxmemory-policy``) and
    FLUSHALL do not: give it enough memory, and bound the lives of entries. A primary that a partition cuts off from its
    cluster answers for ``cluster-node-timeout`` what it knows. The clock of Redis is trusted for times to live.

    Each call is one round trip for any number of keys and ends within ``deadline_s``, which is enough for some ten
    thousand keys; connecting and following a moved slot take more round trips, no more time. Where a call fails it
    raises Unavailable, at once and without I/O while the node's breaker is open. Writes of a call that failed may have
    been done; each may be repeated as it is. Of a Redis Cluster, ``get`` and ``put`` do without the nodes that fail,
    unless all do.
    """

    def __init__(
        self,
        url: str,
        sealer: Sealer,
        *,
        prefix: str,
        tombstone_ttl_s: float = TOMBSTONE_TTL_S,
        pool_size: int = POOL_SIZE,
        deadline_s: float = DEADLINE_S,
        draw: random.Random | None = None,
    ) -> None:
        """Raises ValueError for a URL that cannot be understood. Connects at the first call, to whose loop it is bound.

        ``prefix`` is put before each key, and belongs to one shard: stamps of two cannot be compared.
        """
        assert tombstone_ttl_s > 0
        self._server = RedisServer(url, pool_size=pool_size, deadline_s=deadline_s, draw=draw)
        self._sealer = sealer
        self._prefix = prefix
        self._memory_ms = _ms(tombstone_ttl_s)
        self._broken = 0

    @property
    def prefix(self) -> str:
        """What is put before each key."""
        return self._prefix

    @property
    def server(self) -> RedisServer:
        """What the entries lie in, for a look at its breakers."""
        return self._server

    @property
    def broken(self) -> int:
        """How many entries were found that do not open: of another key, or tampered with."""
        return self._broken

    def reprefix(self, prefix: str) -> None:
        """Go on in another namespace, because what is stored in this one cannot be trusted; what is there runs out.

        Calls under way end in the namespace that they began in.
        """
        self._prefix = prefix

    async def identity(self) -> str:
        """Return the ids that the processes of the server, or of all primaries of the cluster, drew at their start.

        It changes when one of them restarted, and with a failover or another number of nodes. From the first call on,
        a process that was not there when it was read is not talked to: calls raise ServerRestarted, which is an
        Unavailable, until this is read again. So nothing that an old snapshot brought back is ever returned.
        Raises Unavailable where one of the processes cannot be asked. Safe to repeat.
        """
        return await self._server.identity()

    async def mark(self, items: Sequence[tuple[str, int]]) -> None:
        """Leave tombstones: each key loses its data, and remembers the stamp given or a higher one that it has.

        Done only when this returns. Where it raises, any of them may be unmarked: repeat it, or have the namespace
        changed, before anybody relies on the old values being gone.
        """
        if not items:
            return
        named = [(self._prefix + key, (_checked(stamp),)) for key, stamp in items]
        for answer in await self._server.run_each(MARK, (self._memory_ms,), named):
            if isinstance(answer, Exception):
                _fail(answer)

    async def put(self, items: Sequence[Put]) -> list[bool]:
        """Store what no higher stamp, higher version or tombstone of the stamp forbids; tell which were stored.

        False is also what could not be told: of a cluster's nodes that failed, unless all did.
        """
        if not items:
            return []
        answers = await self._server.run_each(PUT, (self._memory_ms,), [self._sealed(item) for item in items])
        _fail_if_all_failed(answers)
        return [answer == 1 for answer in answers]

    async def get(self, keys: Sequence[str]) -> dict[str, Found]:
        """Return what is stored of the keys. Absent: what is not, has run out, is a tombstone, or does not open.

        Absent too are keys of a cluster's nodes that failed, unless all did.
        """
        if not keys:
            return {}
        prefix = self._prefix
        answers = await self._server.run_each(GET, (), [(prefix + key, ()) for key in keys])
        _fail_if_all_failed(answers)
        found: dict[str, Found] = {}
        for key, answer in zip(keys, answers, strict=True):
            if isinstance(answer, bytes) and (entry := self._opened(prefix + key, answer)) is not None:
                found[key] = entry
        return found

    async def hot_keys(self) -> list[str]:
        """Return the keys that were saved last in this namespace, the hottest first; none where none are left."""
        name = self._hot_name()
        (answer,) = await self._server.call([Command(name, ("GET", name))])
        if isinstance(answer, Exception):
            _fail(answer)
        if answer is None:
            return []
        try:
            return list(json.loads(self._sealer.open(name, answer)))
        except SealBroken:
            self._broken += 1
            return []

    async def save_hot_keys(self, keys: Sequence[str]) -> None:
        """Keep the first thousand of these keys for a day, in place of those before. A hint: the last writer wins."""
        name = self._hot_name()
        sealed = self._sealer.seal(name, json.dumps(keys[:HOT_KEYS_MAX]).encode())
        (answer,) = await self._server.call([Command(name, ("SET", name, sealed, "PX", _ms(HOT_KEYS_TTL_S)))])
        if isinstance(answer, Exception):
            _fail(answer)

    async def close(self) -> None:
        """Close all connections; calls after it raise Unavailable. Repeatable."""
        await self._server.close()

    def _hot_name(self) -> str:
        return f"{self._prefix}#hot"

    def _sealed(self, item: Put) -> tuple[str, tuple[int, int, int, bytes]]:
        key = self._prefix + item.key
        stamp, version = _checked(item.stamp), _checked(item.version)
        return key, (stamp, version, _ms(item.ttl_s), self._sealer.seal(_label(key, stamp, version), item.data))

    def _opened(self, key: str, entry: bytes) -> Found | None:
        stamp, version, _ = HEADER.unpack_from(entry)
        try:
            return Found(stamp, version, self._sealer.open(_label(key, stamp, version), entry[HEADER.size :]))
        except SealBroken:
            self._broken += 1
            return None


def _label(key: str, stamp: int, version: int) -> str:
    """Return what the data is sealed under: with the numbers, so that nobody can give old data a new version."""
    return f"{stamp}.{version}.{key}"


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _checked(number: int) -> int:
    assert 0 <= number <= STAMP_MAX, "a stamp or version that Lua would round"
    return number


def _fail_if_all_failed(answers: Sequence[Any]) -> None:
    if all(isinstance(answer, Exception) for answer in answers):
        _fail(answers[0])


def _fail(error: Exception) -> NoReturn:
    if isinstance(error, OutcomeUnknown):
        # All that this level writes may be repeated as it is, so nobody needs to know.
        raise Unavailable(RESOURCE, error.reason, RETRY_AFTER_S) from error
    raise error
