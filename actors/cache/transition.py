"""A change as its writer sees it: registered at the shards before its first commit, ended after its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from actors.cache.link import RingChanged
from actors.cache.messages import End, Publication
from actors.cache.near import NearSession
from actors.cache.quiet import QuietTags
from actors.cache.sharding.routes import Owned, Routes
from actors.runtime.errors import Unavailable
from actors.runtime.histogram import Histogram
from actors.runtime.tracing import SpanKind, child

BEGIN_WITHIN_S = 8.0
"""How long a writer waits for a shard: longer than a restart and the lease that follows it."""
COMMIT_WITHIN_S = 0.5
"""How soon after ``begun`` a commit is expected. Should it take longer, in a process that stalls meanwhile for longer
than the lease, readers may see the change come and go until it is acknowledged; never after."""


class Part:
    """The keys of a transition that one shard owns, by the ring of its link."""

    def __init__(self, owned: Owned, deadline: float) -> None:
        self.keys = owned.keys
        self.tags = owned.tags
        self.deadline = deadline
        self._link = owned.link
        begin = self._link.begin(self.keys, self.tags, deadline)
        self._beginning = asyncio.get_running_loop().create_task(begin)
        self._beginning.add_done_callback(_retrieve)

    async def in_force(self) -> tuple[NearSession, int]:
        """Wait until it is registered; return the session under which it holds, and its number.

        Raises:
            Unavailable: the shard did not confirm it in time.
            RingChanged: the shard does not own all of it any more, and nothing is registered.
        """
        return await asyncio.shield(self._beginning)

    async def settle(self) -> None:
        """Wait until it is registered, or its ring has ended. Raises ``Unavailable`` as ``in_force`` does."""
        with suppress(RingChanged):
            await self.in_force()

    def holds(self, until: float) -> bool:
        """Say whether it is registered, and as far as is known stays so up to that moment of the clock."""
        if not self._beginning.done() or self._beginning.exception() is not None:
            return False
        session, _ = self._beginning.result()
        return session.valid_until > until

    def end(self, session: NearSession, transition: int, published: Sequence[Publication], *, certain: bool) -> None:
        """Have the shard know what became of it."""
        states = tuple(state for state in published if state.key in self.keys)
        self._link.tell(session, End(transition, states, certain))


class Transition:
    """A change of some keys, and of what is grouped under some tags, from before its first commit until after its last.

    Of quiet tags no shard is told, as long as they stay quiet.
    """

    def __init__(
        self,
        routes: Routes,
        keys: Sequence[str],
        tags: Sequence[str],
        quiet: QuietTags,
        clock: Callable[[], float],
        waits: Histogram,
    ) -> None:
        """``waits`` takes how many seconds it waited for shards to let it begin, however that ended; nothing where it
        asked none."""
        self._routes = routes
        self._has_begun = False
        self._tags = quiet
        self._clock = clock
        self._waits = waits
        wake_until = clock() + COMMIT_WITHIN_S
        self._quiet = {tag for tag in tags if quiet.is_quiet(tag, wake_until)}
        told = [tag for tag in tags if tag not in self._quiet]
        self._parts = self._begin(keys, told, clock() + BEGIN_WITHIN_S)
        for tag in self._quiet:
            quiet.rely(tag, self, partial(self._register, tag))

    async def begun(self) -> None:
        """Wait until no cache serves the keys; commit nothing before. Safe to repeat.

        Raises:
            Unavailable: a shard did not confirm it in time; nothing may be committed.
        """
        if self._has_begun:
            await self._in_force()
            return
        began = self._clock()
        try:
            with child("cache fence", SpanKind.CLIENT):
                await self._in_force()
        finally:
            if self._parts:
                self._waits.record(self._clock() - began)
        self._has_begun = True

    async def _in_force(self) -> None:
        # Each wait may take so long that what was confirmed before it does not hold long enough any more.
        while True:
            for part in self._parts:
                await part.settle()
            commit_until = self._clock() + COMMIT_WITHIN_S
            lapsed = [part for part in self._parts if not part.holds(commit_until)]
            woken = [tag for tag in self._quiet if not self._tags.is_quiet(tag, commit_until)]
            if not lapsed and not woken:
                break
            for part in lapsed:
                # By the ring as it is now: other shards may own it.
                self._parts.remove(part)
                self._parts += self._begin(part.keys, part.tags, part.deadline)
            for tag in woken:
                self._register_tag(tag)

    async def end(self, published: Sequence[Publication] = (), *, certain: bool = True) -> None:
        """End it with the states that were committed; when it returns the change may be acknowledged.

        ``certain`` False: nobody knows what was committed, so the caches keep nothing of these keys. It returns at
        once while the shards hold what they confirmed; where one was lost meanwhile, it waits for its successor.
        """
        now = self._clock()
        for tag in list(self._quiet):
            if not self._tags.is_quiet(tag, now):
                self._register_tag(tag)
            self._tags.leave(tag, self)
        for part in self._parts:
            await self._end(part, published, certain=certain)

    def _begin(self, keys: Iterable[str], tags: Iterable[str], deadline: float) -> list[Part]:
        return [Part(owned, deadline) for owned in self._routes.split(keys, tags)]

    async def _register(self, tag: str) -> None:
        """Have the shard know before it takes back that the tag is quiet."""
        if tag in self._quiet:
            try:
                await self._register_tag(tag).in_force()
            except (Unavailable, RingChanged):
                return  # The session is lost by that, so the end registers again and waits.

    def _register_tag(self, tag: str) -> Part:
        self._quiet.discard(tag)
        self._tags.leave(tag, self)
        (part,) = self._begin((), (tag,), self._clock() + BEGIN_WITHIN_S)
        self._parts.append(part)
        return part

    async def _end(self, part: Part, published: Sequence[Publication], *, certain: bool) -> None:
        try:
            session, transition = await part.in_force()
        except (Unavailable, RingChanged):
            if not self._has_begun:
                return  # Nothing was committed.
        else:
            if session.valid_until > self._clock():
                part.end(session, transition, published, certain=certain)
                return
        # The shard may have stopped believing this process: readers may have cached what was before the commit.
        await self._end_late(part, published, certain=certain)

    async def _end_late(self, part: Part, published: Sequence[Publication], *, certain: bool) -> None:
        """Have whoever owns it now drop, after the commit and before anybody is told of it, what it should not have."""
        late = self._begin(part.keys, part.tags, self._clock() + BEGIN_WITHIN_S)
        for owned in late:
            try:
                session, transition = await owned.in_force()
            except RingChanged:
                # The next owner has to drop it as well. What has been dropped by another part stays so.
                late += self._begin(owned.keys, owned.tags, owned.deadline)
            else:
                owned.end(session, transition, published, certain=certain)


def _retrieve(beginning: asyncio.Task[tuple[NearSession, int]]) -> None:
    """Whoever asks whether it is in force hears of its failure; some transitions end before anybody asks."""
    if not beginning.cancelled():
        beginning.exception()
