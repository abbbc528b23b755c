"""Keeps one cluster's place among those on its database: beats, comes down, grows, and removes the dead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from actors.pool.clusters.membership import Beat, ClusterView, Member, Membership, Reign
from actors.pool.clusters.register import Register
from actors.pool.faults import DRIVER_ERRORS
from actors.runtime.clock import Clock
from actors.runtime.errors import ActorError

BEAT_INTERVAL_S = 1.0
# While others have to make room, and while the database does not answer.
HURRIED_INTERVAL_S = 0.25
# Of five seconds a client of the manager waits two.
_FIRST_BEAT_WITHIN_S = 1.5

_AWAY = (ActorError, OSError, *DRIVER_ERRORS)

_logger = logging.getLogger(__name__)


class Holdings(Protocol):
    """What the keeper asks and tells of this cluster's connections."""

    def budget(self, clusters: int) -> int:
        """Return how many connections there may be, all clusters together, where there are so many."""
        ...

    def limit(self, share: int) -> None:
        """Lease no more than that from now on."""
        ...

    def out(self) -> tuple[int, bool]:
        """Return how many connections there may be under leases; and whether there may be no others."""
        ...

    def forget(self) -> None:
        """All leases are void: their connections were ended, and none could be made since."""
        ...

    async def end(self, name: str) -> bool:
        """End all connections of another cluster; return whether none is left."""
        ...


class ClusterKeeper:
    """Beats for as long as ``run`` runs. Bound to one loop."""

    def __init__(self, name: str, register: Register, holdings: Holdings, clock: Clock) -> None:
        self._membership = Membership(name, clock.monotonic())
        self._register = register
        self._holdings = holdings
        self._clock = clock
        self._tried = asyncio.Event()
        self._fault = ""

    @property
    def is_known(self) -> bool:
        """Whether it has ever been told what this cluster may do."""
        return self._membership.is_known

    @property
    def share(self) -> int:
        """The connections that this cluster may lease."""
        return self._membership.share

    @property
    def clusters(self) -> tuple[ClusterView, ...]:
        """All clusters as of the last beat."""
        return self._membership.clusters

    def rights_s(self) -> float:
        """Return for how long connections may be made without asking again."""
        return self._membership.rights_s(self._clock.monotonic())

    def reign(self) -> Reign:
        """Return whether caches may be served."""
        return self._membership.reign(self._clock.monotonic())

    async def known(self) -> bool:
        """Wait for the first beat, not for long; return ``is_known``."""
        if not self.is_known:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_BEAT_WITHIN_S):
                    await self._tried.wait()
        return self.is_known

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            pause_s = HURRIED_INTERVAL_S
            try:
                await self.beat()
                if not self._membership.waits:
                    pause_s = BEAT_INTERVAL_S
                await self._remove_dead()
                self._note("")
            except _AWAY as error:
                self._note(str(error))
            finally:
                self._tried.set()
            await asyncio.sleep(pause_s)

    async def beat(self) -> None:
        """Store what this cluster has, and take what it may have; who joins by that beats twice."""
        if await self._beat_once():
            await self._beat_once()

    async def close(self) -> None:
        """End the session. Cancel ``run`` before."""
        await self._register.close()

    async def _beat_once(self) -> bool:
        membership, sent_at = self._membership, self._clock.monotonic()
        share, joined = 0, False

        def decide(members: Sequence[Member]) -> Beat:
            nonlocal share, joined
            if membership.was_dropped(members):
                _logger.error("other clusters took this one for dead: it joins anew")
                self._holdings.limit(0)
                self._holdings.forget()
            budget = self._holdings.budget(max(1, len(members)))
            share = membership.share_of(members, budget)
            # What is given up is given up before others are told of it, what is taken is taken after.
            self._holdings.limit(membership.lower(share))
            out, sure = self._holdings.out()
            beat = membership.beat(members, budget, share, out, self._clock.monotonic(), sure=sure)
            joined = beat.is_new
            return beat

        before = len(membership.clusters)
        members = await self._register.beat(decide)
        membership.stored(members, share, sent_at)
        self._holdings.limit(share)
        if len(members) != before:
            _logger.info("there are %d clusters on the database; this one may have %d connections", len(members), share)
        return joined

    async def _remove_dead(self) -> None:
        for member in self._membership.dead():
            if await self._holdings.end(member.name) and await self._register.remove(member):
                _logger.warning("the cluster %s is dead; its connections were ended", member.name)

    def _note(self, fault: str) -> None:
        """Log once what is wrong."""
        if fault and fault != self._fault:
            _logger.warning("the table of clusters: %s", fault)
        self._fault = fault
