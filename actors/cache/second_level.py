"""A shard's values in Redis: they outlive it, and are believed only where that is certain.

Before a transition is confirmed its keys are marked there. Where that cannot be done, the shard leaves the namespace
for a new one, which PostgreSQL remembers, before the transition goes on: so nothing that Redis held before is ever read
again. While Redis is away nothing is read, written or marked; what comes back is a namespace that is still empty.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from actors.cache.epochs import Epoch, Epochs
from actors.cache.level2.node import ServerRestarted
from actors.cache.level2.redis_level import Found, Put
from actors.runtime.errors import ActorError, Unavailable

TRY_AGAIN_S = 1.0
_BATCH_MAX = 200
_WAITING_MAX = 10_000
_TTL_MIN_S = 10.0
"""What lives shorter than this is not worth a place."""
_EXPIRY = struct.Struct(">d")

_logger = logging.getLogger(__name__)


class Kept(NamedTuple):
    """A value from Redis with the time that it has left to live."""

    value: bytes
    version: int
    ttl_s: float


class Level(Protocol):
    """Redis as this level uses it: ``RedisLevel``, which says what each call promises."""

    async def identity(self) -> str:
        """Return what changes when a server restarts, and talk to those servers from now on."""
        ...

    def reprefix(self, prefix: str) -> None:
        """Go on in another namespace."""
        ...

    async def mark(self, items: Sequence[tuple[str, int]]) -> None:
        """Leave tombstones."""
        ...

    async def put(self, items: Sequence[Put]) -> list[bool]:
        """Store what is newer."""
        ...

    async def get(self, keys: Sequence[str]) -> dict[str, Found]:
        """Return what is stored."""
        ...

    async def hot_keys(self) -> list[str]:
        """Return the saved keys."""
        ...

    async def save_hot_keys(self, keys: Sequence[str]) -> None:
        """Save keys."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class SecondLevel:
    """One shard's part of Redis. Bound to one loop."""

    def __init__(
        self,
        level: Level,
        epochs: Epochs,
        *,
        prefix: Callable[[Epoch], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``prefix`` names the place of an epoch's values; ``now`` is the time of day, for what outlives processes."""
        self._level = level
        self._epochs = epochs
        self._prefix = prefix
        self._now = now
        self._usable = False
        self._restarted: ServerRestarted | None = None
        self._waiting: OrderedDict[str, Put] = OrderedDict()
        self._woken = asyncio.Event()
        self.hits = 0
        self.moves = 0

    @property
    def usable(self) -> bool:
        """Whether Redis is read, written and marked."""
        return self._usable

    async def mark(self, keys: Sequence[str], stamp: int) -> None:
        """See to it that no value of these keys that Redis holds is ever read again. Safe to repeat.

        Raises:
            Unavailable: neither Redis nor PostgreSQL would take note; do not go on.
        """
        for key in keys:
            self._waiting.pop(key, None)
        if not self._usable or not keys:
            return
        try:
            await self._level.mark([(key, stamp) for key in keys])
        except Unavailable as fault:
            await self._leave(fault)

    async def find(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        """Return what Redis has of these keys; nothing where it does not answer."""
        if not self._usable:
            return {}
        try:
            found = await self._level.get(keys)
        except Unavailable as fault:
            self._notice(fault)
            return {}
        kept = {key: kept for key, entry in found.items() if (kept := self._kept(entry)) is not None}
        self.hits += len(kept)
        return kept

    def keep(self, key: str, stamp: int, version: int, value: bytes, ttl_s: float) -> None:
        """Have Redis hold a value soon; of very many that wait the oldest are dropped."""
        if not self._usable or ttl_s < _TTL_MIN_S:
            return
        self._waiting[key] = Put(key, stamp, version, _EXPIRY.pack(self._now() + ttl_s) + value, ttl_s)
        if len(self._waiting) > _WAITING_MAX:
            self._waiting.popitem(last=False)
        self._woken.set()

    async def forget(self) -> None:
        """Never read again what Redis holds.

        Raises:
            Unavailable: Redis or PostgreSQL is away; it is as it was.
        """
        if not self._usable:
            return  # Where it begins again nothing is read either.
        servers = await self._level.identity()
        self._waiting.clear()
        self._begin(await self._epochs.move(servers))
        self.moves += 1

    async def leave(self) -> None:
        """Never read again what Redis holds, whether or not it answers.

        Raises:
            Unavailable: PostgreSQL is away; it is as it was.
        """
        try:
            await self.forget()
        except Unavailable as fault:
            await self._leave(fault)

    async def hot_keys(self) -> list[str]:
        """Return the keys that were worth the most, as last saved."""
        try:
            return await self._level.hot_keys() if self._usable else []
        except Unavailable:
            return []

    async def save_hot_keys(self, keys: Sequence[str]) -> None:
        """Save the keys that are worth the most, for the shard's next start."""
        try:
            if self._usable:
                await self._level.save_hot_keys(keys)
        except Unavailable:
            return  # The next time will do.

    async def open(self, epoch: Epoch) -> None:
        """Begin with the namespace of an epoch; where Redis does not answer, with a new one when it does.

        Raises:
            Unavailable: neither Redis nor PostgreSQL answers.
        """
        try:
            servers = await self._level.identity()
            if servers != epoch.redis:
                # They restarted while no shard was there to notice.
                epoch = await self._epochs.move(servers)
            self._begin(epoch)
        except Unavailable as fault:
            # What it holds of before cannot be marked from now on.
            await self._leave(fault)

    async def run(self) -> None:
        """Write what is to be kept, and come back to Redis when it answers again; for ever."""
        while True:
            if not self._usable:
                await asyncio.sleep(TRY_AGAIN_S)
                await self._come_back()
            elif self._restarted is not None:
                await self._try_to_leave(self._restarted)
            elif self._waiting:
                await self._write()
            else:
                self._woken.clear()
                await self._woken.wait()

    async def close(self) -> None:
        """Close the connections."""
        await self._level.close()

    async def _write(self) -> None:
        batch = [self._waiting.popitem(last=False)[1] for _ in range(min(_BATCH_MAX, len(self._waiting)))]
        try:
            await self._level.put(batch)
        except Unavailable as fault:
            self._notice(fault)  # A value that is missing costs a load.

    def _notice(self, fault: Unavailable) -> None:
        """A server that restarted may hold the past; one that was away for a while does not, or a mark had failed."""
        if isinstance(fault, ServerRestarted):
            self._restarted = fault
            self._woken.set()

    async def _leave(self, fault: Unavailable) -> None:
        """Leave the namespace. What is under way ends in the old one, where nobody reads."""
        await self._epochs.move("")
        if self._usable:
            _logger.warning("the cache goes on without Redis, and leaves what it holds: %s", fault)
        self._usable, self._restarted = False, None
        self._waiting.clear()
        self.moves += 1
        self._woken.set()

    async def _try_to_leave(self, fault: Unavailable) -> None:
        try:
            await self._leave(fault)
        except Unavailable:
            await asyncio.sleep(TRY_AGAIN_S)  # PostgreSQL is away too.

    async def _come_back(self) -> None:
        try:
            servers = await self._level.identity()
            self._begin(await self._epochs.move(servers))
        except ActorError:
            return
        _logger.info("the cache uses Redis again")

    def _begin(self, epoch: Epoch) -> None:
        self._level.reprefix(self._prefix(epoch))
        self._usable = True

    def _kept(self, entry: Found) -> Kept | None:
        (expires_at,) = _EXPIRY.unpack_from(entry.data)
        ttl_s = expires_at - self._now()
        return Kept(entry.data[_EXPIRY.size :], entry.version, ttl_s) if ttl_s > 0 else None
