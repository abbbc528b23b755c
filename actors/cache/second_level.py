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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice, takewhile
from typing import NamedTuple, Protocol

from actors.cache.counts import Finds
from actors.cache.epochs import Epoch, Epochs
from actors.cache.level2.node import ServerRestarted
from actors.cache.level2.redis_level import Found, Put
from actors.runtime.errors import ActorError, Unavailable

TRY_AGAIN_S = 1.0
SETTLED_AFTER_S = 2.0
"""How long a value stays as it is before it is written: what changes all the time is neither written nor marked."""
_GATHER_S = 0.1
"""Settled values wait for so long for others to be written with: a write for each costs more than all else of it."""
_BATCH_MAX = 200
_WAITING_MAX = 10_000
_ABSENT_MAX = 20_000
TTL_MIN_S = 10.0
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
        models: Collection[str] | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        settled_after_s: float = SETTLED_AFTER_S,
    ) -> None:
        """``prefix`` names the place of an epoch's values; ``now`` is the time of day, for what outlives processes;
        ``clock`` measures.

        Only keys of these ``models`` (what their names have before the first colon) are written and read, None: all.
        Keys of others are marked all the same: they may have been there before an upgrade, and be so after the next."""
        self._level = level
        self._epochs = epochs
        self._prefix = prefix
        self._models = models
        self._now = now
        self._clock = clock
        self._settled_after_s = settled_after_s
        self._usable = False
        self._restarted: ServerRestarted | None = None
        self._waiting: OrderedDict[str, tuple[float, Put]] = OrderedDict()
        # Keys of which Redis holds nothing: they were marked, and no value was sent since.
        self._absent: OrderedDict[str, None] = OrderedDict()
        self._marking = 0
        self._sent_meanwhile: set[str] = set()
        self._woken = asyncio.Event()
        self.finds: dict[str, Finds] = {}
        self.moves = 0
        self.hot_keys_saved = 0

    @property
    def usable(self) -> bool:
        """Whether Redis is read, written and marked."""
        return self._usable

    def has(self, model: str) -> bool:
        """Whether values of a model are written and read."""
        return self._models is None or model in self._models

    async def mark(self, keys: Sequence[str], stamp: int) -> None:
        """See to it that no value of these keys that Redis holds is ever read again. Safe to repeat.

        Raises:
            Unavailable: neither Redis nor PostgreSQL would take note; do not go on.
        """
        for key in keys:
            self._waiting.pop(key, None)
        present = [key for key in keys if key not in self._absent]
        if not self._usable or not present:
            return
        self._marking += 1
        try:
            await self._level.mark([(key, stamp) for key in present])
        except Unavailable as fault:
            await self._leave(fault)
        else:
            self._note_absent(key for key in present if key not in self._sent_meanwhile)
        finally:
            self._marking -= 1
            if not self._marking:
                self._sent_meanwhile.clear()

    async def find(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        """Return what Redis has of these keys, and count it; nothing where it does not answer."""
        keys = [key for key in keys if self._holds(key)]
        if not self._usable or not keys:
            return {}
        began = self._clock()
        kept = await self._get(keys)
        took_s = self._clock() - began
        for key in keys:
            finds = self.finds.setdefault(key[: key.index(":")], Finds())
            finds.find_s.record(took_s)
            if kept is None:
                finds.failures += 1
            elif key in kept:
                finds.hits += 1
            else:
                finds.misses += 1
        return kept or {}

    async def fetch(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        """Return what Redis has of these keys, as ``find``, where no reader waits for it: it is not counted."""
        return (await self._get(keys) if self._usable else None) or {}

    def keep(self, key: str, stamp: int, version: int, value: bytes, ttl_s: float) -> None:
        """Have Redis hold a value once it has settled; of very many that wait the oldest are dropped."""
        if not self._usable or ttl_s < TTL_MIN_S or not self._holds(key):
            return
        put = Put(key, stamp, version, _EXPIRY.pack(self._now() + ttl_s) + value, ttl_s)
        self._waiting.pop(key, None)
        self._waiting[key] = (asyncio.get_running_loop().time() + self._settled_after_s, put)
        if len(self._waiting) > _WAITING_MAX:
            self._waiting.popitem(last=False)
        if len(self._waiting) == 1:
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
                self.hot_keys_saved = len(keys)
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
            elif (pause_s := self._writes_in_s()) == 0:
                await self._write()
            else:
                await self._rest(pause_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._level.close()

    def _writes_in_s(self) -> float | None:
        """Return how long the oldest value has to wait still; None where there is none."""
        if not self._waiting:
            return None
        settled_at, _ = next(iter(self._waiting.values()))
        return max(0.0, settled_at + _GATHER_S - asyncio.get_running_loop().time())

    async def _rest(self, at_most_s: float | None) -> None:
        """Wait until there is something to do."""
        self._woken.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._woken.wait()

    def _note_absent(self, keys: Iterable[str]) -> None:
        self._absent.update(dict.fromkeys(keys))
        while len(self._absent) > _ABSENT_MAX:
            self._absent.popitem(last=False)

    def _take_settled(self) -> list[Put]:
        """Take the next values to write out of those that wait."""
        now = asyncio.get_running_loop().time()
        settled = takewhile(lambda waiting: waiting[0] <= now, self._waiting.values())
        batch = [put for _, put in islice(settled, _BATCH_MAX)]
        for put in batch:
            del self._waiting[put.key]
            self._absent.pop(put.key, None)
            if self._marking:
                self._sent_meanwhile.add(put.key)
        return batch

    async def _write(self) -> None:
        batch = self._take_settled()
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

    def _holds(self, key: str) -> bool:
        return self.has(key.partition(":")[0])

    def _begin(self, epoch: Epoch) -> None:
        self._level.reprefix(self._prefix(epoch))
        self._absent.clear()
        self._usable = True

    async def _get(self, keys: Sequence[str]) -> dict[str, Kept] | None:
        try:
            found = await self._level.get(keys)
        except Unavailable as fault:
            self._notice(fault)
            return None
        return {key: kept for key, entry in found.items() if (kept := self._kept(entry)) is not None}

    def _kept(self, entry: Found) -> Kept | None:
        (expires_at,) = _EXPIRY.unpack_from(entry.data)
        ttl_s = expires_at - self._now()
        return Kept(entry.data[_EXPIRY.size :], entry.version, ttl_s) if ttl_s > 0 else None
