"""Carries out changes of the ring, so that no read goes back in time through one.

A key may move away, change elsewhere, and come back; and while it moves, its old owner's word is out. So a change goes
in steps, each stored before the next begins, and each such that it can be done again:

1. The shards that are new are awaited; what is wanted was stored, and the supervisor creates them.
2. The change is stored as begun. From now on a shard that starts serves nothing.
3. Every shard of the old ring retires it: it ends its sessions, serves nothing, and lets go of what will not be its
   own. One that cannot be reached is waited for, and has its process ended: it is never passed over.
4. A lease is waited for. Then no process serves or believes anything that an old owner has said.
5. The next ring is stored as the one in force, and its shards are told.

To processes this is the same as if all shards had started anew at once. A keeper that dies leaves a ring from which the
next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from actors.cache.shard import LEASE_S
from actors.cache.sharding.stored import Rings, StoredRing
from actors.runtime.errors import ActorError

_logger = logging.getLogger(__name__)

_PAUSE_S = 0.2
_TRY_AGAIN_S = 0.5
_LOOK_EVERY_S = 10.0
_END_AFTER_S = 10.0
"""So long a shard may leave the beginning of a change unanswered; a restart takes less."""


class Member(Protocol):
    """A shard as the keeper sees it. Both calls may be repeated."""

    async def follow(self, stored: StoredRing) -> int:
        """Take part in the ring as it is stored; return the version that is served, 0: none. Raises ``ActorError``."""
        ...

    async def end_process(self) -> None:
        """End the shard's process, so that it starts anew. Raises ``ActorError``."""
        ...


class RingKeeper:
    """Keeps the ring of one gateway. Bound to one loop."""

    def __init__(self, rings: Rings, member: Callable[[str], Member], *, lease_s: float = LEASE_S) -> None:
        self._rings = rings
        self._member = member
        self._lease_s = lease_s
        self._stored: StoredRing | None = None
        self._known = asyncio.Event()
        self._woken = asyncio.Event()

    async def ring(self) -> StoredRing:
        """Return the ring as this keeper has last read or stored it; wait until it has."""
        await self._known.wait()
        assert self._stored is not None
        return self._stored

    async def want(self, count: int) -> StoredRing:
        """Have the ring change to so many shards, after a change that is under way; return it as it is stored.

        It has changed once it is ``settled``. Safe to repeat. Raises ``Unavailable``.
        """
        stored = self._note(await self._rings.want(count))
        self.wake()
        return stored

    def wake(self) -> None:
        """Look now at what is wanted."""
        self._woken.set()

    async def run(self) -> None:
        """Do what there is to be done, for ever."""
        while True:
            self._woken.clear()
            try:
                if await self._advance():
                    await self._rest()
                else:
                    await asyncio.sleep(_PAUSE_S)
            except ActorError as fault:
                _logger.warning("the ring of shards waits: %s", fault)
                await asyncio.sleep(_TRY_AGAIN_S)

    async def _rest(self) -> None:
        """Wait for news; of what another process has stored none comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._woken.wait()

    async def _advance(self) -> bool:
        """Go on with the change that is wanted; say whether there is nothing more to do."""
        stored = self._note(await self._rings.read())
        if stored.settled:
            return await self._all_serve(stored)
        if stored.next is None:
            added = set(stored.members) - set(stored.current.shards)
            if not await self._all_answer(added, stored, lambda _: True):
                return False
            stored = self._note(await self._rings.begin(stored.version, stored.wanted))
        if stored.next is not None:
            _logger.info("the ring of shards changes from %d to %d", stored.shards, len(stored.next.shards))
            await self._retire(stored)
            await asyncio.sleep(self._lease_s)
            stored = self._note(await self._rings.activate(stored.version))
            # At once; where one does not hear it, the next round tells it again.
            await self._all_serve(stored)
        return False

    def _note(self, stored: StoredRing) -> StoredRing:
        self._stored = stored
        self._known.set()
        return stored

    async def _all_serve(self, stored: StoredRing) -> bool:
        return await self._all_answer(stored.current.shards, stored, lambda serves: serves >= stored.version)

    async def _all_answer(self, names: Iterable[str], stored: StoredRing, is_right: Callable[[int], bool]) -> bool:
        """Ask each shard once, and say whether all have given the right answer."""
        answers = await asyncio.gather(*(self._answer(name, stored, is_right) for name in names))
        return all(answers)

    async def _answer(self, name: str, stored: StoredRing, is_right: Callable[[int], bool]) -> bool:
        try:
            return is_right(await self._member(name).follow(stored))
        except ActorError as fault:
            _logger.info("%s does not answer yet: %s", name, fault)
            return False

    async def _retire(self, stored: StoredRing) -> None:
        """Return when no shard of the ring serves it, nor ever will. New shards hear of it if they can."""
        others = set(stored.members) - set(stored.current.shards)
        await asyncio.gather(
            *(self._until_retired(name, stored) for name in stored.current.shards),
            *(self._answer(name, stored, lambda _: True) for name in others),
        )

    async def _until_retired(self, name: str, stored: StoredRing) -> None:
        loop = asyncio.get_running_loop()
        end_at = loop.time() + _END_AFTER_S
        while not await self._answer(name, stored, lambda serves: serves != stored.version):
            if loop.time() >= end_at:
                end_at = loop.time() + _END_AFTER_S
                await self._end_process(name)
            await asyncio.sleep(_PAUSE_S)

    async def _end_process(self, name: str) -> None:
        _logger.warning("%s does not leave the ring, and is started anew", name)
        try:
            await self._member(name).end_process()
        except ActorError as fault:
            _logger.warning("%s could not be ended: %s", name, fault)
