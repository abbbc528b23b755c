"""A cache shard without Ray: what it holds, who may keep it near, and what is changing. All in one event loop.

The contract, by which a read through any process never returns an older state than an acknowledged write or an earlier
read: a writer begins a transition before its first commit and ends it after its last. From the beginning on no near
cache has the key, the shard serves nothing for it and takes no load that began before; readers go to the database.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from actors.cache.coherence.flights import Flights
from actors.cache.coherence.sessions import Directory, Session
from actors.cache.coherence.transitions import Transitions
from actors.cache.counts import Account, Report
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
    ShardState,
    Wait,
    Want,
    Welcome,
)
from actors.cache.quiet import quiet_name
from actors.cache.store.values import Stored, Values
from actors.cache.tag_reads import TagReads

LEASE_S = 2.0
"""How long a process may serve what it holds near after it last asked the shard. A shard that restarted holds
transitions back, and serves nothing, for as long."""
LISTEN_S = 0.4
"""How long a listen stays open: several fit into a lease, so that a stall of a second costs nothing."""
LOAD_TIMEOUT_S = 3.0
HELD_MAX = 200_000
# Measured, with its key.
_FLIGHT_BYTES = 400
# Near caches of the default size hold as much of a default shard as six processes can. A process that is refused asks
# the shard each time.
_DIRECTORY_PART = 0.25
_SELF = 0


class _Beginning(NamedTuple):
    """A transition that others may not have heard of yet. ``sequence`` is its number among the invalidations,
    ``holders`` had its keys near before."""

    sequence: int
    acknowledgements: list[asyncio.Future[None]]
    holders: dict[str, list[Session]]

    @property
    def is_acknowledged(self) -> bool:
        """Whether nobody serves a copy any more."""
        return all(done.done() for done in self.acknowledgements)


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
        self._account = Account()
        self._late_fills = 0
        self._outdated_fills = 0
        self._listen_s = listen_s
        self._draw = draw or random.Random()
        self._stored = stored
        self._lease_s = lease_s
        self._ready_at = clock() + lease_s
        self._sequence = incarnation << 32
        self._values = Values(bound_bytes)
        self._tag_reads = TagReads()
        self._directory = Directory(lease_s, held_max, int(bound_bytes * _DIRECTORY_PART), incarnation << 32)
        self._transitions = Transitions()
        self._beginnings: dict[tuple[int, int], _Beginning] = {}
        self._flights = Flights(LOAD_TIMEOUT_S, incarnation << 32)
        # Nobody changes but those who tell this shard, until that moment; and what it has was given since that number.
        self._reign_until = math.inf
        self._reign_floor = 0
        self._keeps = True

    # Sessions

    def open_session(self, owner: str) -> Welcome:
        """Begin a session for a process."""
        now = self._clock()
        session = self._directory.open(owner, now, self._sequence)
        return Welcome(session.id, self._sequence, self._near_s(now))

    async def listen(
        self, session: int, acknowledged: int, drops: Sequence[tuple[str, int]], report: Report | None
    ) -> Notices:
        """Prolong a process's lease; answer with the keys that it must drop, at once when there are any.

        ``acknowledged``: what it has dropped so far; ``drops``: what it let go of by itself, with its permission;
        ``report``: how its reads ended since it last told any shard; None where there is nothing to tell.

        Raises:
            NoSession: its lease had run out.
        """
        now = self._clock()
        self._expire(now)
        found = self._directory.get(session)
        self._directory.dropped(found, drops)
        if report is not None:
            self._account.take(found.owner, report)
        notices = await self._directory.listen(found, acknowledged, now, self._listen_s)
        return notices._replace(floor=self._reign_floor, near_s=self._near_s(self._clock()))

    def owner_of(self, session: int) -> str:
        """Return the process whose session it is.

        Raises:
            NoSession: its lease had run out.
        """
        return self._directory.get(session).owner

    # Reads

    def read(self, session: int, wants: Iterable[Want]) -> list[Answer]:
        """Answer reads of one process.

        Raises:
            NoSession: its lease had run out.
        """
        now = self._clock()
        reader = self._directory.get(session)
        answers = [self._read(reader, want, now) for want in wants]
        self._make_room()
        return answers

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
        if not self._keeps:
            return {}
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
        return self._values.hottest(count)

    def retire(self, owns: Callable[[str], bool]) -> None:
        """End every session, and with it the loads and transitions under way; drop what is not owned any more.

        ``owns`` is asked for keys, and for the tags of what has one. What was changing is in no cache, so what is left
        holds as long as nobody changes it without a session here.
        """
        self._expire(math.inf)
        self._flights.call_off_all()
        self._sequence += 1
        self._values.retain(owns)

    def recover(self) -> None:
        """Serve nothing, and let no transition begin, until every lease that was given before has run out."""
        self._ready_at = self._clock() + self._lease_s

    def abdicate(self) -> None:
        """Another cluster changes, or may have changed, what is cached: serve nothing, keep nothing, and have what
        processes hold near be void. Transitions go on, for what changes here is told as ever. Safe to repeat."""
        self._reign_until = -math.inf
        self._keeps = False
        self._flights.call_off_all()
        self._sequence += 1
        self._reign_floor = self._sequence
        self._values.retain(lambda _: False)

    def reign_until(self, until: float) -> None:
        """This cluster alone changes what is cached, up to that moment of the clock: serve so long.

        As long as it does not ``abdicate`` all that it has is of one reign: after a pause it goes on with it.
        """
        self._reign_until = until
        self._keeps = True

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
        self._make_room()

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

    async def acknowledged(self, session: int, beginnings: Iterable[Begin], within_s: float) -> None:
        """Wait a while for the holders of what these transitions change."""
        known = [self._beginnings.get((session, beginning.transition)) for beginning in beginnings]
        waits = [done for each in known if each is not None for done in each.acknowledgements if not done.done()]
        if waits:
            await asyncio.wait(waits, timeout=within_s)

    async def begun(self, session: int, transition: int) -> int:
        """Wait until nobody serves a copy of the keys of a transition; return the number to drop one's own up to.

        Raises:
            NoSession: the process's lease ran out, or it has begun no such transition.
        """
        beginning = self._beginnings.get((session, transition))
        if beginning is None:
            raise NoSession
        for acknowledgement in beginning.acknowledgements:
            await asyncio.shield(acknowledgement)
        pause = self._ready_at - self._clock()
        if pause > 0:
            # Leases of the shard before this one may still run, and nobody here knows of what.
            await asyncio.sleep(pause)
        self._directory.get(session)
        return beginning.sequence

    # Operators

    def snapshot(self) -> ShardSnapshot:
        """Return the state of this shard."""
        state = ShardState(
            ready=self._ready_at <= self._clock(),
            entries=len(self._values),
            bytes_used=self._values.bytes_used,
            bound_bytes=self._bound_bytes,
            evictions=self._values.evictions,
            sessions=len(self._directory),
            held=sum(len(session.held) for session in self._directory),
            changing=len(self._transitions),
            loading=len(self._flights),
            late_fills=self._late_fills,
            outdated_fills=self._outdated_fills,
        )
        return ShardSnapshot(state, self._account.metrics, tallies=self._account.tallies)

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str], models: Sequence[str]) -> int:
        """Drop keys, what is grouped under tags, and whole models; return how many values, near copies not counted.

        When it returns no process serves any of them.
        """
        prefixes = tuple(f"{model}:" for model in models)
        wanted = dict.fromkeys(keys)
        if prefixes:
            held = (key for session in self._directory for key in session.held)
            known = (*self._values.keys(), *self._flights, *held)
            wanted.update(dict.fromkeys(key for key in known if key.startswith(prefixes)))
        values = sum(key in self._values for key in wanted)
        grouped = sum(map(self._values.under, tags))
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
            holders = {key: found for key in beginning.keys if (found := self._directory.holders(key))}
            acknowledgements = self._invalidate(beginning.keys, beginning.tags, writer)
            known = self._beginnings[identity] = _Beginning(self._sequence, acknowledgements, holders)
        has_begun = self._ready_at <= self._clock() and known.is_acknowledged
        return Begun(known.sequence if has_begun else 0, self._grant_quiet(writer, beginning.tags))

    def _grant_quiet(self, writer: Session, tags: Iterable[str]) -> tuple[tuple[str, int], ...]:
        """Let the writer know under which of the tags nothing is cached: of those that are hardly read between two
        changes. What was stored under them is void by now."""
        calm = [tag for tag in tags if not self._tag_reads.changed(tag)]
        holds = [(tag, self._directory.hold(writer, quiet_name(tag))) for tag in calm]
        return tuple((tag, hold) for tag, hold in holds if hold)

    def _is_quiet(self, tag: str, now: float) -> bool:
        """Say whether a writer counts on nothing being cached under the tag. Where it is read a lot, have it know that
        this ends: until it has heard, nothing is cached."""
        is_read = self._tag_reads.note(tag, now)
        name = quiet_name(tag)
        if not self._directory.knows(name):
            return False
        if is_read:
            self._sequence += 1
            self._directory.revoke(name, self._sequence, None)
        return True

    def _fill(self, found: Fill, *, is_new: bool = True) -> None:
        flight = self._flights.finish(found.key, found.token)
        if flight is None:
            self._late_fills += 1  # A transition has called it off.
            return
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
        beginning = self._beginnings.pop((session, ending.transition), None)
        for state in self._transitions.end(session, ending.transition, ending.published, certain=ending.certain):
            is_newest = self._put(state.key, state.value, state.version, state.ttl_s, None, now, 0.0)
            if is_newest and beginning is not None:
                # Who has read it lately will read it again: one message instead of a question and an answer.
                for holder in beginning.holders.get(state.key, ()):
                    self._directory.offer(holder, state, self._sequence)

    def _expire(self, now: float) -> None:
        for session in self._directory.expire(now):
            # Only now: a writer that is believed may have answered its client already.
            for transition in self._transitions.abandon(session.id):
                self._beginnings.pop((session.id, transition), None)
            self._flights.abandon(session.id)

    def _read(self, reader: Session, want: Want, now: float) -> Answer:
        key, tag = want.key, want.tag
        if now >= self._reign_until:
            return Bypass("shared")
        if now < self._ready_at:
            return Bypass("recovering")
        if key in self._transitions or (tag is not None and tag in self._transitions):
            return Bypass("changing")
        if tag is not None and self._is_quiet(tag, now):
            return Bypass("quiet")
        hold = self._directory.hold(reader, key) if want.hold else 0
        stored = self._values.get(key, now)
        if stored is not None:
            refresh = self._refresh(stored, key, reader, now)
            return Hit(stored.value, stored.version, stored.expires_at - now, self._sequence, hold, refresh)
        flight = self._flights.find(key, now)
        if flight is not None:
            return Wait(flight.token)
        return Load(self._flights.begin(key, tag, reader.id, now).token, self._sequence, hold)

    def _refresh(self, stored: Stored, key: str, reader: Session, now: float) -> int:
        if not refresh_is_due(stored.expires_at - now, stored.load_s, self._draw) or self._flights.find(key, now):
            return 0
        return self._flights.begin(key, stored.tag, reader.id, now).token

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
    ) -> bool:
        """Store a value, if there is room; False where it is older than what is known of the key."""
        self._sequence += 1
        if not self._keeps:
            return False
        expires_at = now + jittered(ttl_s, self._draw)
        if not self._values.put(key, Stored(value, version, expires_at, load_s, tag, self._sequence)):
            self._outdated_fills += 1
            return False
        if is_new and tag is None and value is not None:
            self._stored(key, self._sequence, version, value, ttl_s)
        return True

    def _invalidate(
        self, keys: Sequence[str], tags: Sequence[str], writer: Session | None
    ) -> list[asyncio.Future[None]]:
        acknowledgements: list[asyncio.Future[None]] = []
        for key in keys:
            self._flights.call_off(key)
            self._values.void(key)
            acknowledgements += self._directory.revoke(key, self._sequence, writer)
        for tag in tags:
            self._flights.call_off(tag)
            self._values.void_tag(tag, self._sequence)
        return acknowledgements

    def _near_s(self, now: float) -> float:
        """Return for how long processes may serve what they hold near."""
        return max(0.0, self._reign_until - now)

    def _make_room(self) -> None:
        """Leave the values what the rest of the shard does not take of the bound."""
        self._values.reserve(
            self._directory.bytes_used + self._tag_reads.bytes_used + _FLIGHT_BYTES * len(self._flights)
        )
