"""The cache as a process uses it: reads through a near cache and the shards, transitions, and writes behind."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from actors.cache.counts import ModelMetrics, Reporter, Untold
from actors.cache.limits.messages import PermitShard
from actors.cache.link import ShardLink, ShardPort
from actors.cache.messages import Bypass, Fill, GiveUp, Hit, Load, ShardSnapshot, Update, Wait, Want
from actors.cache.near import NearCache, NearEntry, NearSession
from actors.cache.quiet import QuietTags
from actors.cache.shard import LEASE_S
from actors.cache.sharding.routes import Routes
from actors.cache.transition import Transition
from actors.runtime.errors import ActorError, Unavailable
from actors.runtime.histogram import Histogram
from actors.runtime.tallies import Series, Tallies
from actors.runtime.tracing import SpanKind, child

READ_TIMEOUT_S = 0.5
"""How long a read waits for a shard before it asks the database."""
NEGATIVE_TTL_S = 5.0
NEAR_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the database has: ``value`` None where there is no such thing. ``version`` rises with every change.

    ``lasting`` False: it is about to change, by a writer that tells no cache, so none keeps it.
    """

    value: bytes | None
    version: int
    lasting: bool = True


Loader = Callable[[], Awaitable[Loaded]]


@dataclass(slots=True)
class _Reading:
    """A read that others of this process may join while its session is valid, and no other cluster came or went."""

    session: NearSession
    result: asyncio.Future[tuple[bytes | None, bool]]
    reign_floor: int

    def may_be_joined(self, now: float) -> bool:
        """Say whether nothing of the key has changed since it began, but as this process would have heard."""
        session = self.session
        return min(session.valid_until, session.near_until) > now and session.reign_floor == self.reign_floor


class CacheClient:
    """Reads, transitions and records of one process. Bound to the loop in which ``start`` was called."""

    def __init__(
        self,
        connect: Callable[[str], ShardPort],
        owner: str,
        *,
        shards: Sequence[str],
        near_bytes: int = NEAR_BYTES,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``connect`` gives the way to a shard of a name. ``shards`` are those to ask which ring there is: those that
        run follow it, so one of them is enough."""
        self._clock = clock
        self._near = NearCache(near_bytes, self._near_evicted)
        self._quiet = QuietTags()
        self.counts: dict[str, ModelMetrics] = {}
        self._tallies: list[Callable[[], Tallies]] = []
        untold = Untold(self.counts, self._tallied)
        # One for each shard, through all changes of the ring: a shard counts what it is told by its number.
        reporters: dict[str, Reporter] = defaultdict(lambda: Reporter(untold))
        self._routes = Routes(
            shards,
            connect,
            lambda name, port, ring: ShardLink(
                name,
                port,
                owner,
                ring.number,
                clock=clock,
                lease_s=lease_s,
                moved=lambda ring: self._routes.follow(ring),
                applied=self._invalidated,
                updated=self._keep_update,
                granted=self._quiet.grant,
                reporter=reporters[name],
            ),
        )
        self._reading: dict[str, _Reading] = {}
        self._refreshing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin sessions with the shards."""
        self._routes.start()

    async def close(self) -> None:
        """Tell shards the last of what was counted, and end the sessions; what is held near is not served any more."""
        tasks = list(self._refreshing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(link.tell_last() for link in self._routes.links))
        await self._routes.close()

    def peek(self, key: str) -> bytes | None:
        """Return what is held near, without waiting for anything; None says nothing."""
        entry = self._near.get(key, self._clock())
        if entry is None or entry.value is None:
            return None
        self._counts(key).near_hits += 1
        return entry.value

    async def read(self, key: str, load: Loader, *, ttl_s: float, tag: str | None = None) -> bytes | None:
        """Return the value, None where there is no such thing: from near, from its shard, or by ``load``.

        What is returned is no older than any write that was acknowledged, and any read that ended, before the call. A
        ``tag`` groups keys that change together; those are kept at the shard alone. Raises what ``load`` raises.
        """
        counts = self._counts(key)
        now = self._clock()
        if tag is None:
            entry = self._near.get(key, now)
            if entry is not None:
                counts.near_hits += 1
                return entry.value
            reading = self._reading.get(key)
            if reading is not None and reading.may_be_joined(now):
                value, shared = await asyncio.shield(reading.result)
                if shared:
                    counts.joined += 1
                    return value
                now = self._clock()
        link = self._routes.owner(tag or key)
        session = link.current(now)
        if session is None:
            return await self._bypassed(counts, "no session", load)
        if tag is not None or key in self._reading:
            return (await self._ask(link, session, Want(key, tag, tag is None), load, ttl_s, counts))[0]
        return await self._read_for_all(link, session, key, load, ttl_s, counts)

    async def warm(self, key: str, load: Loader, *, ttl_s: float) -> None:
        """Have the key's shard hold it; this process does not."""
        link = self._routes.owner(key)
        session = link.current(self._clock())
        if session is not None:
            answer = await link.read(session, Want(key, None, False), READ_TIMEOUT_S)
            if isinstance(answer, Load):
                await self._load(link, session, key, answer.token, load, ttl_s, ModelMetrics())

    async def record(self, key: str, payload: bytes) -> None:
        """Have a write written behind, by the key's shard. When it returns the shard's journal in Redis has it: it is
        acknowledged, and reaches the shard's sink also where the shard dies.

        Those of one key are applied in the order in which they were acknowledged, as long as the same shard owns it:
        each has a journal of its own. Those of one process that are under way at once keep the order of their calls.
        Nothing of it is read through this cache.

        Raises Unavailable and Overloaded: nothing was done. Raises OutcomeUnknown where it may have been: whoever
        repeats it then may have it applied twice.
        """
        await self._routes.owner(key).record(key, payload)

    def tell_of(self, tallies: Callable[[], Tallies]) -> None:
        """Have shards told of what else this process counts, about three times a second: each snapshot has the sum of
        what its shard was told by all processes since it started, also by those that have ended. So sums over shards
        are those of all processes, but for what shards that ended had been told.

        ``tallies`` gives what was counted so far, in series that no other source has; it costs what it takes.
        """
        self._tallies.append(tallies)

    def permits_of(self, key: str) -> PermitShard:
        """Return the way to the shard that counts a rate limit's key; it leads nowhere once the ring has changed."""
        return self._routes.owner(key)

    async def snapshots(self) -> dict[str, ShardSnapshot | None]:
        """Return the state of every shard by its name, None where it does not answer."""

        async def ask(link: ShardLink) -> ShardSnapshot | None:
            try:
                return await link.port.snapshot()
            except ActorError:
                return None

        links = self._routes.links
        return dict(zip([link.name for link in links], await asyncio.gather(*map(ask, links)), strict=True))

    async def invalidate(self, keys: Sequence[str] = (), tags: Sequence[str] = (), models: Sequence[str] = ()) -> int:
        """Have every cache drop these keys, what is grouped under these tags, and all of these models; return how many
        values that were. When it returns nobody serves them. Raises ``ActorError`` where a shard does not answer.
        """
        version, links = self._routes.version, self._routes.links
        dropped = await asyncio.gather(
            *(link.port.invalidate(tuple(keys), tuple(tags), tuple(models)) for link in links)
        )
        # A valid session shows that until now no other shards than these have served.
        now = self._clock()
        if self._routes.version != version or not any(link.current(now) for link in links):
            raise Unavailable("the cache", "its shards are changing", 1.0)
        return sum(dropped)

    def transition(self, keys: Iterable[str], tags: Iterable[str] = ()) -> Transition:
        """Begin to change these keys and what is grouped under these tags. End it, whatever comes of it."""
        keys, tags = tuple(keys), tuple(tags)
        names = keys or tags
        waits = self._counts(names[0]).begin_s if names else Histogram()
        return Transition(self._routes, keys, tags, self._quiet, self._clock, waits)

    async def _read_for_all(
        self, link: ShardLink, session: NearSession, key: str, load: Loader, ttl_s: float, counts: ModelMetrics
    ) -> bytes | None:
        """Read, and let others of this process have the result."""
        result: asyncio.Future[tuple[bytes | None, bool]] = asyncio.get_running_loop().create_future()
        reading = self._reading[key] = _Reading(session, result, session.reign_floor)
        try:
            outcome = await self._ask(link, session, Want(key, None, True), load, ttl_s, counts)
            result.set_result(outcome)
            return outcome[0]
        except Exception as error:
            result.set_exception(error)
            result.exception()  # Whether or not somebody has joined.
            raise
        finally:
            if self._reading.get(key) is reading:
                del self._reading[key]
            if not result.done():
                result.set_result((None, False))

    async def _ask(
        self, link: ShardLink, session: NearSession, want: Want, load: Loader, ttl_s: float, counts: ModelMetrics
    ) -> tuple[bytes | None, bool]:
        """Return the value, and whether those who joined this read may have it."""
        asked_at = self._clock()
        with child("cache shard", SpanKind.CLIENT):
            answer = await link.read(session, want, READ_TIMEOUT_S)
        counts.shard_s.record(self._clock() - asked_at)
        if isinstance(answer, Wait):
            counts.waited += 1
            answer = await link.wait(session, want, answer.token)
        match answer:
            case Hit():
                counts.shard_hits += 1
                counts.negative_hits += answer.value is None
                if answer.refresh:
                    self._refresh(link, session, want.key, answer.refresh, load, ttl_s, counts)
                if answer.hold:
                    self._keep(session, want.key, answer, answer.value, answer.version, answer.ttl_s)
                return answer.value, answer.hold > 0
            case Load():
                loaded = await self._load(link, session, want.key, answer.token, load, ttl_s, counts)
                if answer.hold and loaded.lasting:
                    self._keep(session, want.key, answer, loaded.value, loaded.version, _ttl(loaded, ttl_s))
                elif answer.hold:
                    session.drops.append((want.key, answer.hold))
                return loaded.value, answer.hold > 0 and loaded.lasting
            case Bypass():
                return await self._bypassed(counts, answer.reason, load), False
            case Wait():
                raise AssertionError("a wait ends with an answer")

    async def _load(
        self,
        link: ShardLink,
        session: NearSession,
        key: str,
        token: int,
        load: Loader,
        ttl_s: float,
        counts: ModelMetrics,
    ) -> Loaded:
        counts.loads += 1
        try:
            loaded = await self._timed(load, counts)
        except BaseException:
            link.tell(session, GiveUp(key, token))
            raise
        if loaded.lasting:
            link.tell(session, Fill(key, token, loaded.value, loaded.version, _ttl(loaded, ttl_s)))
        else:
            link.tell(session, GiveUp(key, token))
        return loaded

    def _refresh(
        self,
        link: ShardLink,
        session: NearSession,
        key: str,
        token: int,
        load: Loader,
        ttl_s: float,
        counts: ModelMetrics,
    ) -> None:
        async def refresh() -> None:
            counts.refreshes += 1
            await self._load(link, session, key, token, load, ttl_s, counts)

        task = asyncio.get_running_loop().create_task(refresh())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshed)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing.discard(task)
        if not task.cancelled():
            # A failed refresh costs nothing: the value is there, and the next reader tries again.
            task.exception()

    def _keep_update(self, session: NearSession, update: Update) -> None:
        self._counts(update.key).updates += 1
        self._keep(session, update.key, update, update.value, update.version, update.ttl_s)

    def _keep(
        self,
        session: NearSession,
        key: str,
        answer: Hit | Load | Update,
        value: bytes | None,
        version: int,
        ttl_s: float,
    ) -> None:
        now = self._clock()
        if not session.is_current(key, answer.sequence):
            # An invalidation has overtaken the answer, and with it the shard took the permission back.
            self._counts(key).stale_refusals += 1
            return
        self._near.keep(key, NearEntry(value, version, now + ttl_s, session, answer.hold, answer.sequence))

    async def _bypassed(self, counts: ModelMetrics, reason: str, load: Loader) -> bytes | None:
        counts.bypasses[reason] = counts.bypasses.get(reason, 0) + 1
        return (await self._timed(load, counts)).value

    async def _timed(self, load: Loader, counts: ModelMetrics) -> Loaded:
        began = self._clock()
        loaded = await load()
        counts.load_s.record(self._clock() - began)
        return loaded

    def _invalidated(self, keys: Sequence[str]) -> list[Callable[[], Awaitable[object]]]:
        self._near.drop(keys)
        for key in keys:
            # Reads that are under way may go on; later ones may not join them.
            self._reading.pop(key, None)
        return self._quiet.revoke(keys)

    def _near_evicted(self, key: str) -> None:
        self._counts(key).near_evictions += 1

    def _tallied(self) -> Tallies:
        together: dict[Series, float] = {}
        for tallies in self._tallies:
            together.update(tallies())
        return together

    def _counts(self, key: str) -> ModelMetrics:
        model = key[: key.index(":")]
        counts = self.counts.get(model)
        if counts is None:
            counts = self.counts[model] = ModelMetrics()
        return counts


def _ttl(loaded: Loaded, ttl_s: float) -> float:
    return ttl_s if loaded.value is not None else min(ttl_s, NEGATIVE_TTL_S)
