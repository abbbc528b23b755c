"""A cache shard without Ray: what it holds, who may keep it near, and what is changing. All in one event loop.

The contract, by which a read through any process never returns an older state than an acknowledged write or an earlier
read: a writer begins a transition before its first commit and ends it after its last. From the beginning on no near
cache has the key, the shard serves nothing for it and takes no load that began before; readers go to the database.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from actors.cache.coherence.flights import Flights
from actors.cache.coherence.sessions import Directory, Session
from actors.cache.coherence.transitions import Transitions
from actors.cache.counts import Report
from actors.cache.expiry import jittered, refresh_is_due
from actors.cache.messages import (
    Answer,
    Begin,
    Begun,
    Bypass,
    End,
    Fill,
    GiveUp,
    Hit,
    Load,
    NoSession,
    Notices,
    ShardSnapshot,
    Wait,
    Want,
    Welcome,
)
from actors.cache.quiet import quiet_name
from actors.cache.store.bounded import BoundedStore

LEASE_S = 2.0
"""How long a process may serve what it holds near after it last asked the shard. A shard that restarted holds
transitions back, and serves nothing, for as long."""
LISTEN_S = 0.4
"""How long a listen stays open: several fit into a lease, so that a stall of a second costs nothing."""
LOAD_TIMEOUT_S = 3.0
HELD_MAX = 200_000
_REPORTS_MAX = 500
# Measured: an `_Entry` with the numbers that it alone refers to, beside what the store counts for each key.
_ENTRY_BYTES = 200
_SELF = 0
_READS_WORTH_CACHING = 3
_TAG_READS_MAX = 10_000
_FENCES_MIN, _BYTES_PER_FENCE = 1000, 16 * 1024


@dataclass(slots=True)
class _Entry:
    """A value; ``sequence`` is the number of invalidations when it was stored."""

    value: bytes | None
    version: int
    expires_at: float
    load_s: float
    tag: str | None
    sequence: int


@dataclass(slots=True)
class _Tag:
    """A group of keys that is invalidated at once. ``entries`` counts those that are stored."""

    sequence: int = 0
    entries: int = 0


@dataclass(slots=True)
class _TagReads:
    """How much is read under a tag: since its last change, and within the second that began at ``window``."""

    window: float
    in_window: int = 0
    since_change: int = 0

    def note(self, now: float) -> None:
        """Count one read."""
        if now >= self.window + 1:
            self.window, self.in_window = now, 0
        self.in_window += 1
        self.since_change += 1


class CacheShard:
    """One shard of the cache. Times are seconds of ``clock``, which is monotonic."""

    def __init__(
        self,
        bound_bytes: int,
        *,
        clock: Callable[[], float],
        incarnation: int,
        lease_s: float = LEASE_S,
        listen_s: float = LISTEN_S,
        held_max: int = HELD_MAX,
        draw: random.Random | None = None,
        stored: Callable[[str, int, int, bytes, float], None] = lambda *_: None,
    ) -> None:
        """``stored`` is told of each untagged value that is new here: key, stamp, version, value, seconds to live.
        Stamps rise, and are above the ``sequence`` of every transition that has begun before.

        Numbers of sessions and tokens begin at ``incarnation`` * 2**32, so that none of a former shard is taken."""
        self._clock = clock
        self._bound_bytes = bound_bytes
        self._reports: dict[str, Report] = {}
        self._listen_s = listen_s
        self._draw = draw or random.Random()
        self._stored = stored
        self._lease_s = lease_s
        self._ready_at = clock() + lease_s
        self._sequence = incarnation << 32
        self._store: BoundedStore[_Entry] = BoundedStore(bound_bytes, evicted=self._evicted)
        self._tags: dict[str, _Tag] = {}
        self._tag_reads: OrderedDict[str, _TagReads] = OrderedDict()
        # What protects a key from a late fill is its token; versions guard against loads from a lagging replica, so it
        # is enough to remember those of recent changes.
        self._fences: OrderedDict[str, int] = OrderedDict()
        self._fences_max = max(_FENCES_MIN, bound_bytes // _BYTES_PER_FENCE)
        self._directory = Directory(lease_s, held_max, incarnation << 32)
        self._transitions = Transitions()
        self._beginnings: dict[tuple[int, int], tuple[int, list[asyncio.Future[None]]]] = {}
        self._flights = Flights(LOAD_TIMEOUT_S, incarnation << 32)

    # Sessions

    def open_session(self, owner: str) -> Welcome:
        """Begin a session for a process."""
        session = self._directory.open(owner, self._clock(), self._sequence)
        return Welcome(session.id, self._sequence)

    async def listen(
        self, session: int, acknowledged: int, drops: Sequence[tuple[str, int]], report: Report
    ) -> Notices:
        """Prolong a process's lease; answer with the keys that it must drop, at once when there are any.

        ``acknowledged``: what it has dropped so far; ``drops``: what it let go of by itself, with its permission;
        ``report``: how its reads ended until now.

        Raises:
            NoSession: its lease had run out.
        """
        now = self._clock()
        self._expire(now)
        found = self._directory.get(session)
        self._directory.dropped(found, drops)
        self._keep_report(found.owner, report)
        return await self._directory.listen(found, acknowledged, now, self._listen_s)

    # Reads

    def read(self, session: int, wants: Iterable[Want]) -> list[Answer]:
        """Answer reads of one process.

        Raises:
            NoSession: its lease had run out.
        """
        now = self._clock()
        reader = self._directory.get(session)
        return [self._read(reader, want, now) for want in wants]

    async def wait(self, session: int, want: Want, token: int) -> Answer:
        """Answer a read once the load of that token has ended; perhaps by handing the load over.

        Raises:
            NoSession: the process's lease ran out.
        """
        while True:
            now = self._clock()
            flight = self._flights.find(want.key, now)
            if flight is not None and flight.token == token:
                landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                flight.waiters.append(landed)
                timer = asyncio.get_running_loop().call_later(flight.deadline - now, flight.land)
                try:
                    await landed
                finally:
                    timer.cancel()
            answer = self._read(self._directory.get(session), want, self._clock())
            if not isinstance(answer, Wait):
                return answer
            token = answer.token

    def adopt(self, session: int, want: Want, found: Load, value: bytes, version: int, ttl_s: float) -> Answer:
        """Answer a read with a value of the second level, in place of the load that was to be.

        Raises:
            NoSession: the process's lease had run out.
        """
        self._fill(Fill(want.key, found.token, value, version, ttl_s), is_new=False)
        return self._read(self._directory.get(session), want, self._clock())

    def begin_warming(self, keys: Iterable[str]) -> dict[str, int]:
        """Begin loads, by the shard itself, of those keys that it may load; return their tokens."""
        now = self._clock()
        free = [key for key in keys if key not in self._transitions and self._flights.find(key, now) is None]
        return {key: self._flights.begin(key, None, _SELF, now).token for key in free}

    def warm(self, fills: Iterable[Fill], missing: Iterable[GiveUp]) -> None:
        """Take what the shard's own loads have found in the second level."""
        for fill in fills:
            self._fill(fill, is_new=False)
        for nothing in missing:
            self._give_up(nothing)

    def hottest(self, count: int) -> list[str]:
        """Return the keys that are worth the most, pages not among them."""
        found = self._store.hottest(2 * count)
        return [key for key in found if (entry := self._store.peek(key)) is not None and entry.tag is None][:count]

    def retire(self, owns: Callable[[str], bool]) -> None:
        """End every session, and with it the loads and transitions under way; drop what is not owned any more.

        ``owns`` is asked for keys, and for the tags of what has one. What was changing is in no cache, so what is left
        holds as long as nobody changes it without a session here.
        """
        self._expire(math.inf)
        self._flights.call_off_all()
        self._sequence += 1
        for key in self._store.hottest(len(self._store)):
            entry = self._store.peek(key)
            if entry is not None and not owns(entry.tag or key):
                self._forget(key)

    def recover(self) -> None:
        """Serve nothing, and let no transition begin, until every lease that was given before has run out."""
        self._ready_at = self._clock() + self._lease_s

    @property
    def sequence(self) -> int:
        """The number of the last invalidation or new value."""
        return self._sequence

    def tell(self, session: int, messages: Iterable[Fill | GiveUp | End]) -> None:
        """Take what loads have found and what became of transitions. Repeatable; old news is dropped."""
        for message in messages:
            match message:
                case Fill():
                    self._fill(message)
                case GiveUp():
                    self._give_up(message)
                case End():
                    self._end(session, message)

    # Writes

    def begin(self, session: int, beginnings: Iterable[Begin]) -> list[Begun]:
        """Begin transitions. Once one has begun no process serves any of its keys from a near cache, and this shard
        serves nothing of it either. Repeatable.

        Where the answer says 0, others hold copies still, or may do so since before this shard started: ask ``begun``.

        Raises:
            NoSession: the process's lease ran out; nothing is under way.
        """
        writer = self._directory.get(session)
        return [self._begin(writer, beginning) for beginning in beginnings]

    async def begun(self, session: int, transition: int) -> int:
        """Wait until nobody serves a copy of the keys of a transition; return the number to drop one's own up to.

        Raises:
            NoSession: the process's lease ran out, or it has begun no such transition.
        """
        beginning = self._beginnings.get((session, transition))
        if beginning is None:
            raise NoSession
        sequence, acknowledgements = beginning
        for acknowledgement in acknowledgements:
            await asyncio.shield(acknowledgement)
        pause = self._ready_at - self._clock()
        if pause > 0:
            # Leases of the shard before this one may still run, and nobody here knows of what.
            await asyncio.sleep(pause)
        self._directory.get(session)
        return sequence

    # Operators

    def snapshot(self) -> ShardSnapshot:
        """Return the state of this shard."""
        return ShardSnapshot(
            ready=self._ready_at <= self._clock(),
            entries=len(self._store),
            bytes_used=self._store.bytes_used,
            bound_bytes=self._bound_bytes,
            evictions=self._store.evictions,
            sessions=len(self._directory),
            held=sum(len(session.held) for session in self._directory),
            changing=len(self._transitions),
            loading=len(self._flights),
            reports=dict(self._reports),
        )

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str], models: Sequence[str]) -> int:
        """Drop keys, what is grouped under tags, and whole models; return how many values, near copies not counted.

        When it returns no process serves any of them.
        """
        prefixes = tuple(f"{model}:" for model in models)
        wanted = dict.fromkeys(keys)
        if prefixes:
            held = (key for session in self._directory for key in session.held)
            known = (*self._store.hottest(len(self._store)), *self._flights, *held)
            wanted.update(dict.fromkeys(key for key in known if key.startswith(prefixes)))
        values = sum(key in self._store for key in wanted)
        grouped = sum(self._tags[tag].entries for tag in tags if tag in self._tags)
        self._sequence += 1
        for acknowledgement in self._invalidate(tuple(wanted), tags, None):
            await acknowledgement
        return values + grouped

    # The rest is the shard's own

    def _begin(self, writer: Session, beginning: Begin) -> Begun:
        identity = (writer.id, beginning.transition)
        known = self._beginnings.get(identity)
        if known is None:
            self._sequence += 1
            self._transitions.begin(writer.id, beginning.transition, (*beginning.keys, *beginning.tags))
            known = (self._sequence, self._invalidate(beginning.keys, beginning.tags, writer))
            self._beginnings[identity] = known
        sequence, acknowledgements = known
        has_begun = self._ready_at <= self._clock() and all(done.done() for done in acknowledgements)
        return Begun(sequence if has_begun else 0, self._grant_quiet(writer, beginning.tags))

    def _grant_quiet(self, writer: Session, tags: Iterable[str]) -> tuple[tuple[str, int], ...]:
        """Let the writer know under which of the tags nothing is cached: of those that are hardly read between two
        changes. What was stored under them is void by now."""
        quiet: list[tuple[str, int]] = []
        for tag in tags:
            read = self._tag_reads.get(tag)
            if read is None or read.since_change < _READS_WORTH_CACHING:
                hold = self._directory.hold(writer, quiet_name(tag))
                if hold:
                    quiet.append((tag, hold))
            if read is not None:
                read.since_change = 0
        return tuple(quiet)

    def _is_quiet(self, tag: str, now: float) -> bool:
        """Say whether a writer counts on nothing being cached under the tag. Where it is read a lot, have it know that
        this ends: until it has heard, nothing is cached."""
        read = self._tag_reads.get(tag)
        if read is None:
            read = self._tag_reads[tag] = _TagReads(now)
            if len(self._tag_reads) > _TAG_READS_MAX:
                self._tag_reads.popitem(last=False)
        read.note(now)
        name = quiet_name(tag)
        if not self._directory.knows(name):
            return False
        if read.in_window >= _READS_WORTH_CACHING:
            self._sequence += 1
            self._directory.revoke(name, self._sequence, None)
        return True

    def _fill(self, found: Fill, *, is_new: bool = True) -> None:
        flight = self._flights.finish(found.key, found.token)
        if flight is None:
            return  # A transition has called it off.
        now = self._clock()
        load_s = max(0.0, now - (flight.deadline - LOAD_TIMEOUT_S))
        self._put(found.key, found.value, found.version, found.ttl_s, flight.tag, now, load_s, is_new=is_new)
        flight.land()

    def _give_up(self, failed: GiveUp) -> None:
        flight = self._flights.finish(failed.key, failed.token)
        if flight is not None:
            flight.land()

    def _end(self, session: int, ending: End) -> None:
        now = self._clock()
        self._beginnings.pop((session, ending.transition), None)
        for state in self._transitions.end(session, ending.transition, ending.published, certain=ending.certain):
            self._put(state.key, state.value, state.version, state.ttl_s, None, now, 0.0)

    def _keep_report(self, owner: str, report: Report) -> None:
        """Keep what a process said of itself, also after it has ended; of very many the oldest are forgotten."""
        self._reports.pop(owner, None)
        self._reports[owner] = report
        while len(self._reports) > _REPORTS_MAX:
            del self._reports[next(iter(self._reports))]

    def _expire(self, now: float) -> None:
        for session in self._directory.expire(now):
            # Only now: a writer that is believed may have answered its client already.
            for transition in self._transitions.abandon(session.id):
                self._beginnings.pop((session.id, transition), None)
            self._flights.abandon(session.id)

    def _read(self, reader: Session, want: Want, now: float) -> Answer:
        key, tag = want.key, want.tag
        if now < self._ready_at:
            return Bypass("recovering")
        if key in self._transitions or (tag is not None and tag in self._transitions):
            return Bypass("changing")
        if tag is not None and self._is_quiet(tag, now):
            return Bypass("quiet")
        hold = self._directory.hold(reader, key) if want.hold else 0
        entry = self._usable(key, now)
        if entry is not None:
            refresh = self._refresh(entry, key, reader, now)
            return Hit(entry.value, entry.version, entry.expires_at - now, self._sequence, hold, refresh)
        flight = self._flights.find(key, now)
        if flight is not None:
            return Wait(flight.token)
        return Load(self._flights.begin(key, tag, reader.id, now).token, self._sequence, hold)

    def _usable(self, key: str, now: float) -> _Entry | None:
        entry = self._store.get(key)
        if entry is None:
            return None
        if entry.tag is not None and entry.sequence < self._tags[entry.tag].sequence:
            self._forget(key)
            return None
        if entry.expires_at <= now:
            self._leave_version(key, entry)
            return None
        return entry

    def _refresh(self, entry: _Entry, key: str, reader: Session, now: float) -> int:
        if not refresh_is_due(entry.expires_at - now, entry.load_s, self._draw) or self._flights.find(key, now):
            return 0
        return self._flights.begin(key, entry.tag, reader.id, now).token

    def _put(
        self,
        key: str,
        value: bytes | None,
        version: int,
        ttl_s: float,
        tag: str | None,
        now: float,
        load_s: float,
        *,
        is_new: bool = True,
    ) -> None:
        self._sequence += 1
        known = self._store.peek(key)
        if version < max(self._fences.get(key, 0), known.version if known is not None else 0):
            return
        entry = _Entry(value, version, now + jittered(ttl_s, self._draw), load_s, tag, self._sequence)
        if tag is not None:
            self._tags.setdefault(tag, _Tag()).entries += 1
        if not self._store.put(key, entry, _ENTRY_BYTES + (len(value) if value is not None else 0)):
            self._evicted(key, entry)
        elif known is not None:
            self._evicted(key, known)
        if is_new and tag is None and value is not None:
            self._stored(key, self._sequence, version, value, ttl_s)

    def _invalidate(
        self, keys: Sequence[str], tags: Sequence[str], writer: Session | None
    ) -> list[asyncio.Future[None]]:
        acknowledgements: list[asyncio.Future[None]] = []
        for key in keys:
            self._flights.call_off(key)
            entry = self._store.peek(key)
            if entry is not None:
                self._leave_version(key, entry)
            acknowledgements += self._directory.revoke(key, self._sequence, writer)
        for tag in tags:
            self._flights.call_off(tag)
            if tag in self._tags:
                self._tags[tag].sequence = self._sequence
        return acknowledgements

    def _leave_version(self, key: str, entry: _Entry) -> None:
        """Forget the value and remember its version: an older one that arrives late is not taken."""
        self._forget(key)
        if entry.version > 0:
            self._fences.pop(key, None)
            self._fences[key] = entry.version
            if len(self._fences) > self._fences_max:
                self._fences.popitem(last=False)

    def _forget(self, key: str) -> None:
        entry = self._store.remove(key)
        if entry is not None:
            self._evicted(key, entry)

    def _evicted(self, _key: str, entry: _Entry) -> None:
        if entry.tag is None:
            return
        tag = self._tags[entry.tag]
        tag.entries -= 1
        if tag.entries == 0:
            del self._tags[entry.tag]
