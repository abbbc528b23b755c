"""A change as its writer sees it: registered at the shards before its first commit, ended after its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from actors.cache.link import ShardLink
from actors.cache.messages import End, Publication
from actors.cache.near import NearSession
from actors.cache.quiet import QuietTags
from actors.runtime.errors import Unavailable
from actors.runtime.histogram import Histogram

BEGIN_WITHIN_S = 8.0
"""How long a writer waits for a shard: longer than a restart and the lease that follows it."""
COMMIT_WITHIN_S = 0.5
"""How soon after ``begun`` a commit is expected. Should it take longer, in a process that stalls meanwhile for longer
than the lease, readers may see the change come and go until it is acknowledged; never after."""


class Part:
    """The keys of a transition that one shard owns."""

    def __init__(self, link: ShardLink, keys: tuple[str, ...], tags: tuple[str, ...], deadline: float) -> None:
        self.link = link
        self.keys = keys
        self.tags = tags
        self._deadline = deadline
        self.begin_again()

    def begin_again(self) -> None:
        """Register it anew."""
        begin = self.link.begin(self.keys, self.tags, self._deadline)
        self.beginning = asyncio.get_running_loop().create_task(begin)

    async def in_force(self) -> tuple[NearSession, int]:
        """Wait until it is registered; return the session under which it holds, and its number."""
        return await asyncio.shield(self.beginning)


class Transition:
    """A change of some keys, and of what is grouped under some tags, from before its first commit until after its last.

    Of quiet tags no shard is told, as long as they stay quiet.
    """

    def __init__(
        self,
        parts: list[Part],
        quiet: Mapping[str, ShardLink],
        tags: QuietTags,
        clock: Callable[[], float],
        waits: Histogram,
    ) -> None:
        """``waits`` takes how many seconds it waited for shards to let it begin, however that ended; nothing where it
        asked none."""
        self._parts = parts
        self._has_begun = False
        self._quiet = dict(quiet)
        self._tags = tags
        self._clock = clock
        self._waits = waits
        for tag in quiet:
            tags.rely(tag, self, partial(self._register, tag))

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
            await self._in_force()
        finally:
            if self._parts:
                self._waits.record(self._clock() - began)
        self._has_begun = True

    async def _in_force(self) -> None:
        # Each wait may take so long that what was confirmed before it does not hold long enough any more.
        while True:
            begun = [(part, await part.in_force()) for part in self._parts]
            commit_until = self._clock() + COMMIT_WITHIN_S
            lapsed = [part for part, (session, _) in begun if session.valid_until <= commit_until]
            woken = [tag for tag in self._quiet if not self._tags.is_quiet(tag, commit_until)]
            if not lapsed and not woken:
                break
            for part in lapsed:
                part.begin_again()
            for tag in woken:
                self._register_part(tag)

    async def end(self, published: Sequence[Publication] = (), *, certain: bool = True) -> None:
        """End it with the states that were committed; when it returns the change may be acknowledged.

        ``certain`` False: nobody knows what was committed, so the caches keep nothing of these keys. It returns at
        once while the shards hold what they confirmed; where one was lost meanwhile, it waits for its successor.
        """
        now = self._clock()
        for tag in list(self._quiet):
            if not self._tags.is_quiet(tag, now):
                self._register_part(tag)
            self._tags.leave(tag, self)
        for part in self._parts:
            states = tuple(state for state in published if state.key in part.keys)
            await self._end(part, states, certain=certain)

    async def _register(self, tag: str) -> None:
        """Have the shard know before it takes back that the tag is quiet."""
        if tag in self._quiet:
            try:
                await self._register_part(tag).in_force()
            except Unavailable:
                return  # The session is lost by that, so the end registers again and waits.

    def _register_part(self, tag: str) -> Part:
        link = self._quiet.pop(tag)
        self._tags.leave(tag, self)
        part = Part(link, (), (tag,), self._clock() + BEGIN_WITHIN_S)
        self._parts.append(part)
        return part

    async def _end(self, part: Part, states: tuple[Publication, ...], *, certain: bool) -> None:
        try:
            session, transition = await part.in_force()
        except Unavailable:
            if not self._has_begun:
                return  # Nothing was committed.
            session, transition = await self._begin_late(part)
        if session.valid_until <= self._clock():
            # The shard may have stopped believing this process: readers may have cached what was before the commit.
            session, transition = await self._begin_late(part)
        part.link.tell(session, End(transition, states, certain))

    async def _begin_late(self, part: Part) -> tuple[NearSession, int]:
        """Have the shard drop, after the commit and before anybody is told of it, what it should not have by now."""
        return await part.link.begin(part.keys, part.tags, self._clock() + BEGIN_WITHIN_S)
