"""One shard of the cache as an actor, with its part of Redis."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

from actors.cache.counts import Report
from actors.cache.epochs import Epoch, Epochs
from actors.cache.level2.journal import Journal
from actors.cache.limits.ledger import PermitLedger
from actors.cache.limits.messages import PermitAnswer, PermitAsk
from actors.cache.messages import (
    Answer,
    Begin,
    Begun,
    End,
    Fill,
    GiveUp,
    Load,
    Notices,
    ShardSnapshot,
    Want,
    Welcome,
)
from actors.cache.second_level import SETTLED_AFTER_S, Level, SecondLevel
from actors.cache.shard import CacheShard
from actors.cache.sharding.membership import Followed, Membership
from actors.cache.sharding.stored import Rings, RingVersion, StoredRing
from actors.cache.write_behind import JournalSink, WriteBehind
from actors.runtime.channel import Address, ChannelServer
from actors.runtime.errors import ActorError, Unavailable
from actors.runtime.supervised import Supervised

_START_AGAIN_S = 0.5
_FIRST_STEP = (1, False)
"""The step of a ring that has never been another."""
# Holders acknowledge in a millisecond or two. Who takes longer makes its writer ask again, not all of the batch wait.
_ACKNOWLEDGED_WITHIN_S = 0.03
_HOT_KEYS = 1000
_REIGN_EVERY_S = 1.0
_REIGN_AGAIN_S = 0.25
_SAVE_HOT_KEYS_S = 5.0

_logger = logging.getLogger(__name__)


class Reign(Protocol):
    """Whether the shard's cluster is alone on its database."""

    @property
    def number(self) -> int | None:
        """Which of the times in which it is alone this is; None: another cluster is there."""
        ...

    @property
    def for_s(self) -> float:
        """For how long from when it was asked."""
        ...


class CacheShardActor(Supervised):
    """Holds one shard; what it does and promises stands at ``CacheShard``.

    It serves once PostgreSQL has given it an epoch: before that every call raises ``Unavailable``, and so do calls that
    would begin a transition which neither Redis nor PostgreSQL takes note of. Its journal does not hold it up.
    """

    shard_class = CacheShard
    settled_after_s = SETTLED_AFTER_S

    def __init__(
        self,
        code_version: str,
        name: str,
        gateway: str,
        bound_bytes: int,
        epochs: Callable[[str], Epochs],
        rings: Callable[[str], Rings],
        level: Callable[[], Level | None],
        host: Callable[[], str] = lambda: "127.0.0.1",
        write_behind: Callable[[str], tuple[Journal, JournalSink] | None] = lambda _: None,
        redis_models: Collection[str] | None = None,
        reign: Callable[[], Awaitable[Reign]] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        draw: random.Random | None = None,
    ) -> None:
        """``epochs`` gives those of a name, ``rings`` the ring of a gateway, ``level`` the Redis to use, if any,
        ``host`` the address by which clients reach this machine, and ``write_behind`` the journal of a name with its
        sink, if any; all are called in the actor's process. ``redis_models`` are those that Redis holds, None: all.
        ``reign`` says whether the shard's cluster is alone on its database, None: it always is.
        ``clock`` is monotonic, ``now`` the time of day.
        """
        super().__init__(code_version)
        self._name = name
        self._gateway = gateway
        self._bound_bytes = bound_bytes
        self._epochs = epochs
        self._rings = rings
        self._level = level
        self._host = host
        self._write_behind = write_behind
        self._redis_models = redis_models
        self._ask_reign = reign
        self._reign: int | None = None
        self._clock = clock
        self._now = now
        self._draw = draw
        self._opening: asyncio.Task[None] | None = None
        self._working: list[asyncio.Task[None]] = []
        self._opened: CacheShard | None = None
        self._ledger: PermitLedger | None = None
        self._started_at = 0.0
        self._second: SecondLevel | None = None
        self._behind: WriteBehind | None = None
        self._server: ChannelServer | None = None
        self._listening: asyncio.Task[Address] | None = None
        self._member: Membership | None = None
        self._following = asyncio.Lock()
        self._has_to_leave = False

    async def ensure_running(self) -> str:
        """Begin to serve as soon as that is possible, and return the version."""
        self._open()
        return await super().ensure_running()

    async def address(self) -> Address:
        """Return where the shard's server is: what its clients call, they call there."""
        await asyncio.shield(self._open())
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        return await asyncio.shield(self._listening)

    async def open_session(self, owner: str, ring: int) -> Welcome | RingVersion:
        """Begin a session for a process that routes by this version of the ring; or say by which it has to."""
        await asyncio.shield(self._open())
        return self._membership.admit(ring) or self._shard.open_session(owner)

    async def follow(self, stored: StoredRing) -> int:
        """Take part in the ring as it is stored; return the version that this shard serves by now, 0: none.

        Once it has answered to the beginning of a change it serves nothing of the ring before, and has let go, in its
        memory and in Redis, of what is not its own in the next. Safe to repeat, in whatever order calls arrive. Raises
        ``Unavailable``.
        """
        await asyncio.shield(self._open())
        async with self._following:
            followed = self._membership.follow(stored)
            if followed is not Followed.NOTHING:
                self._shard.retire(self._membership.owns())
                if self._ledger is not None:
                    # Keys come whose permits another shard has granted.
                    self._ledger.recover()
            if followed is Followed.RECOVER:
                self._shard.recover()
            self._has_to_leave |= followed in (Followed.FORGET, Followed.RECOVER)
            self._has_to_leave |= followed is Followed.RETIRE and self._membership.loses_keys()
            if self._has_to_leave and self._second is not None:
                # Keys that leave this shard may change elsewhere and come back.
                await self._second.leave()
                # Meanwhile a load of its own may have found something there.
                self._shard.retire(self._membership.owns())
            self._has_to_leave = False
            return self._membership.serve()

    async def listen(
        self, session: int, acknowledged: int, drops: Sequence[tuple[str, int]], report: Report | None
    ) -> Notices:
        """Prolong a process's lease; answer with the keys that it must drop."""
        return await self._shard.listen(session, acknowledged, drops, report)

    def read(self, session: int, wants: Sequence[Want]) -> list[Answer] | Coroutine[Any, Any, list[Answer]]:
        """Answer reads: at once, unless Redis is asked for what this shard does not have."""
        answers = self._shard.read(session, wants)
        second = self._second
        if second is None or not second.usable:
            return answers
        loads = [
            (place, want, answer)
            for place, (want, answer) in enumerate(zip(wants, answers, strict=True))
            if isinstance(answer, Load) and want.tag is None
        ]
        return self._adopt(session, answers, loads, second) if loads else answers

    async def _adopt(
        self, session: int, answers: list[Answer], loads: Sequence[tuple[int, Want, Load]], second: SecondLevel
    ) -> list[Answer]:
        """Put what Redis has in the place of loads."""
        kept = await second.find([want.key for _, want, _ in loads])
        for place, want, load in loads:
            found = kept.get(want.key)
            if found is not None:
                answers[place] = self._shard.adopt(session, want, load, found.value, found.version, found.ttl_s)
        return answers

    async def wait(self, session: int, want: Want, token: int) -> Answer:
        """Answer a read once a load has ended."""
        return await self._shard.wait(session, want, token)

    async def begin(self, session: int, beginnings: Sequence[Begin]) -> list[Begun]:
        """Begin transitions. Redis, or PostgreSQL in its place, takes note before this answers."""
        begun = self._shard.begin(session, beginnings)
        if self._second is not None:
            await self._second.mark([key for beginning in beginnings for key in beginning.keys], self._shard.sequence)
        if all(each.sequence for each in begun):
            return begun
        await self._shard.acknowledged(session, beginnings, _ACKNOWLEDGED_WITHIN_S)
        return self._shard.begin(session, beginnings)

    async def begun(self, session: int, transition: int) -> int:
        """Wait until a transition has begun."""
        return await self._shard.begun(session, transition)

    def tell(self, session: int, messages: Sequence[Fill | GiveUp | End]) -> None:
        """Take what loads have found and what became of transitions."""
        self._shard.tell(session, messages)

    def permits(self, session: int, asks: Sequence[PermitAsk]) -> list[PermitAnswer]:
        """Take note of permits that a process has spent, and grant what it wants. Safe to repeat."""
        owner = self._shard.owner_of(session)
        assert self._ledger is not None, "it is there where the shard is"
        return [self._ledger.answer(owner, ask) for ask in asks]

    async def record(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Take writes into the journal, of the keys of the ring that it serves. Not safe to repeat."""
        if self._behind is None:
            raise Unavailable(self._name, "it has no journal, or is starting", _START_AGAIN_S)
        if self._membership.serving is None:
            raise Unavailable(self._name, "it serves no keys", _START_AGAIN_S)
        await self._behind.record(entries)

    async def may_end(self) -> bool:
        """Say whether nothing is lost by ending this shard, which is not in the ring any more: all of its journal has
        been applied, and since it serves no keys nothing is added."""
        await asyncio.shield(self._open())
        if self._membership.serving is not None:
            return False
        return self._behind is None or (await self._behind.state()).unapplied == 0

    async def snapshot(self) -> ShardSnapshot:
        """Return the state of the shard."""
        snapshot = replace(self._shard.snapshot(), started_at=self._started_at)
        if self._membership.serving is None:
            snapshot = replace(snapshot, state=replace(snapshot.state, ready=False))
        if self._behind is not None:
            journal = await self._behind.state()
            state = replace(snapshot.state, unapplied=journal.unapplied, journal_fault=journal.fault)
            snapshot = replace(snapshot, state=state)
        second = self._second
        if second is None:
            return snapshot
        finds = second.finds.values()
        state = replace(
            snapshot.state,
            redis=second.usable,
            redis_hits=sum(found.hits for found in finds),
            redis_misses=sum(found.misses for found in finds),
            redis_failures=sum(found.failures for found in finds),
            redis_moves=second.moves,
            hot_keys_saved=second.hot_keys_saved,
        )
        return replace(snapshot, state=state, finds=second.finds)

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str], models: Sequence[str]) -> int:
        """Drop what is cached; return how many values this shard had. For a model of which Redis has some, that forgets
        everything. Raises ``Unavailable`` while the ring is changing.
        """
        if self._membership.serving is None:
            raise Unavailable(self._name, "the ring of shards is changing", _START_AGAIN_S)
        dropped = await self._shard.invalidate(keys, tags, models)
        if self._second is not None:
            if any(self._second.has(model) for model in models):
                await self._second.forget()
            await self._second.mark(keys, self._shard.sequence)
        return dropped

    @property
    def _membership(self) -> Membership:
        if self._member is None:
            raise Unavailable(self._name, "it is starting", _START_AGAIN_S)
        return self._member

    @property
    def _shard(self) -> CacheShard:
        if self._opened is None:
            raise Unavailable(self._name, "it is starting", _START_AGAIN_S)
        return self._opened

    def _open(self) -> asyncio.Task[None]:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._start())
        return self._opening

    async def _start(self) -> None:
        epochs = self._epochs(f"{self._gateway}/{self._name}")
        while True:
            try:
                # The ring first: whoever stores one for the first time has every shard leave what Redis holds.
                stored = await self._rings(self._gateway).read()
                epoch = await epochs.take()
                self._second = await self._open_second(epochs, epoch)
            except Unavailable as fault:
                _logger.warning("%s cannot start yet: %s", self._name, fault)
                await asyncio.sleep(_START_AGAIN_S)
            else:
                self._serve(epoch, self._second, is_first=epoch.incarnation == 1 and stored.step == _FIRST_STEP)
                self._member = Membership(self._name, stored)
                return

    def _prefix(self, epoch: Epoch) -> str:
        return f"{self._gateway}:{self._name}:{epoch.namespace}:"

    async def _listen(self) -> Address:
        handlers = {
            method.__name__: method
            for method in (
                self.open_session,
                self.listen,
                self.read,
                self.wait,
                self.begin,
                self.begun,
                self.tell,
                self.permits,
                self.record,
                self.snapshot,
                self.invalidate,
            )
        }
        self._server = ChannelServer(handlers)
        return await self._server.start(self._host())

    def _serve(self, epoch: Epoch, second: SecondLevel | None, *, is_first: bool) -> None:
        self._started_at = self._now()
        shard = self._opened = self.shard_class(
            self._bound_bytes,
            clock=self._clock,
            incarnation=epoch.incarnation,
            draw=self._draw,
            stored=second.keep if second is not None else lambda *_: None,
        )
        if self._ask_reign is not None:
            # What Redis has is of that reign; nothing is served before it is certain that it still lasts.
            self._reign = epoch.reign
            shard.reign_until(-math.inf)
        life = f"{self._name}/{epoch.incarnation}"
        self._ledger = PermitLedger(clock=self._clock, life=life, is_first=is_first)
        loop = asyncio.get_running_loop()
        if second is not None:
            self._working = [loop.create_task(second.run()), loop.create_task(self._keep_warm(shard, second))]
        if self._ask_reign is not None:
            self._working.append(loop.create_task(self._keep_reign(shard, self._ask_reign)))
        parts = self._write_behind(f"{self._gateway}:{self._name}")
        if parts is not None:
            self._behind = WriteBehind(f"the journal of {self._name}", *parts, owner=epoch.incarnation)
            self._working.append(loop.create_task(self._behind.run()))

    async def _keep_reign(self, shard: CacheShard, ask: Callable[[], Awaitable[Reign]]) -> None:
        """Serve while the cluster is alone. Whoever cannot be asked is not believed for longer than it has said."""
        while True:
            asked_at, pause_s = self._clock(), _REIGN_EVERY_S
            try:
                reign = await ask()
                await self._follow_reign(shard, reign.number)
                if reign.number is not None:
                    shard.reign_until(asked_at + reign.for_s)
            except ActorError as fault:
                _logger.info("%s cannot tell whether its cluster is alone: %s", self._name, fault)
                pause_s = _REIGN_AGAIN_S
            await asyncio.sleep(pause_s)

    async def _follow_reign(self, shard: CacheShard, number: int | None) -> None:
        """Let go of everything, in Redis too, that was kept in another reign."""
        if number == self._reign and number is not None:
            return
        shard.abdicate()
        self._reign = None
        if number is None:
            return
        async with self._following:
            if self._second is not None:
                await self._second.leave()
            await self._epochs(f"{self._gateway}/{self._name}").begin_reign(number)
        self._reign = number

    async def _open_second(self, epochs: Epochs, epoch: Epoch) -> SecondLevel | None:
        level = self._level()
        if level is None:
            return None
        second = SecondLevel(
            level,
            epochs,
            prefix=self._prefix,
            models=self._redis_models,
            now=self._now,
            clock=self._clock,
            settled_after_s=self.settled_after_s,
        )
        try:
            await second.open(epoch)
        except BaseException:
            await second.close()
            raise
        return second

    async def _keep_warm(self, shard: CacheShard, second: SecondLevel) -> None:
        """Load what was worth the most before this start, and save what is for the next."""
        tokens = shard.begin_warming(await second.hot_keys())
        kept = await second.fetch(list(tokens))
        shard.warm(
            [Fill(key, tokens[key], found.value, found.version, found.ttl_s) for key, found in kept.items()],
            [GiveUp(key, token) for key, token in tokens.items() if key not in kept],
        )
        if kept:
            _logger.info("%s starts with %d values from Redis", self._name, len(kept))
        while True:
            await asyncio.sleep(_SAVE_HOT_KEYS_S)
            await second.save_hot_keys(shard.hottest(_HOT_KEYS))
