"""One process's connection to one shard: the session that it keeps up, and batches of what it asks and tells."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from actors.cache.counts import Report, Reporter
from actors.cache.limits.messages import PermitAnswer, PermitAsk
from actors.cache.messages import (
    RECORDS_MAX,
    Answer,
    Begin,
    Begun,
    Bypass,
    End,
    Fill,
    GiveUp,
    NoSession,
    Notices,
    ShardSnapshot,
    Update,
    Want,
    Welcome,
)
from actors.cache.near import NearSession
from actors.cache.sharding.stored import RingVersion
from actors.runtime.coalescer import Coalescer
from actors.runtime.errors import ActorError, Unavailable

_logger = logging.getLogger(__name__)

_BACKOFF_MAX_S = 0.5
_IN_FLIGHT_MAX = 2
_OUTBOX_MAX = 20_000
_REPORT_EVERY_S = 0.3


class ShardPort(Protocol):
    """A shard as its clients call it. Every call but ``record`` is safe to repeat.

    Raises ``NoSession`` where the shard does not know the session, ``ActorError`` where it cannot be reached.
    """

    async def open_session(self, owner: str, ring: int) -> Welcome | RingVersion:
        """Begin a session for a process that routes by this version of the ring, or hear by which it has to."""
        ...

    async def listen(
        self, session: int, acknowledged: int, drops: Sequence[tuple[str, int]], report: Report | None
    ) -> Notices:
        """Prolong the lease and wait for notices."""
        ...

    async def read(self, session: int, wants: Sequence[Want]) -> list[Answer]:
        """Read keys."""
        ...

    async def wait(self, session: int, want: Want, token: int) -> Answer:
        """Read a key that another process loads."""
        ...

    async def begin(self, session: int, beginnings: Sequence[Begin]) -> list[Begun]:
        """Begin transitions."""
        ...

    async def begun(self, session: int, transition: int) -> int:
        """Wait until a transition has begun."""
        ...

    async def tell(self, session: int, messages: Sequence[Fill | GiveUp | End]) -> None:
        """Tell what loads and transitions came to."""
        ...

    async def permits(self, session: int, asks: Sequence[PermitAsk]) -> list[PermitAnswer]:
        """Tell of permits that were spent, and ask for more."""
        ...

    async def record(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Have pairs of key and payload, up to ``RECORDS_MAX``, written behind: all or none.

        Raises Unavailable and Overloaded where nothing was done, OutcomeUnknown where it may have been.
        """
        ...

    async def snapshot(self) -> ShardSnapshot:
        """Return the shard's state."""
        ...

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str], models: Sequence[str]) -> int:
        """Drop what is cached; return how many values."""
        ...

    def close(self) -> None:
        """End the connection, if there is one."""
        ...


class RingChanged(Exception):
    """The ring that the link belongs to has ended, and every session with it: route anew."""


class ShardLink:
    """Keeps a session with a shard, for as long as one version of the ring is in force.

    ``applied`` is called with keys that may not be served any more, before the shard hears that they are dropped;
    what it returns is done before the shard hears that. ``updated`` is called with what may be served of them again, in
    its new state. ``granted`` is called with the tags that the shard says are quiet, and its number of invalidations
    then. ``reporter`` has what the shard is told of the process's reads. ``moved`` is called with the ring that has
    taken the place of version ``ring``, and ends this link.
    """

    def __init__(
        self,
        name: str,
        port: ShardPort,
        owner: str,
        ring: int,
        *,
        clock: Callable[[], float],
        lease_s: float,
        moved: Callable[[RingVersion], None],
        applied: Callable[[Sequence[str]], Sequence[Callable[[], Awaitable[object]]]],
        updated: Callable[[NearSession, Update], None],
        granted: Callable[[NearSession, int, Sequence[tuple[str, int]]], None],
        reporter: Reporter,
    ) -> None:
        self.name = name
        self.port = port
        self._owner = owner
        self._ring = ring
        self._is_over = False
        self._clock = clock
        self._lease_s = lease_s
        self._moved = moved
        self._applied = applied
        self._updated = updated
        self._granted = granted
        self._reporter = reporter
        self._report_at = 0.0
        self._session: NearSession | None = None
        self._opened = asyncio.Event()
        self._transitions = 0
        self._outbox: list[tuple[NearSession, Fill | GiveUp | End]] = []
        self._telling: asyncio.Task[None] | None = None
        self._reads = Coalescer[tuple[NearSession, Want], Answer](
            self._read, name=f"reads of {name}", in_flight_max=_IN_FLIGHT_MAX, writes=False
        )
        self._begins = Coalescer[tuple[NearSession, Begin], Begun](
            self._begin, name=f"transitions of {name}", in_flight_max=_IN_FLIGHT_MAX
        )
        # One call at a time, so that they arrive in order also where the connection is made anew between two.
        self._records = Coalescer[tuple[str, bytes], None](
            self._record, name=f"records of {name}", batch_max=RECORDS_MAX, in_flight_max=1
        )

    def current(self, now: float) -> NearSession | None:
        """Return the session while it is valid."""
        session = self._session
        return session if session is not None and session.valid_until > now else None

    async def session(self) -> NearSession:
        """Wait for a valid session.

        Raises:
            RingChanged: there will be none.
        """
        while True:
            if self._is_over:
                raise RingChanged
            session = self.current(self._clock())
            if session is not None:
                return session
            self._opened.clear()
            await self._opened.wait()

    async def keep_up(self) -> None:
        """Keep a session until the ring changes; cancel it to end before."""
        backoff_s = 0.01
        try:
            while not self._is_over:
                try:
                    await self._listen()
                    backoff_s = 0.01
                except NoSession:
                    self.lose(self._session)
                except ActorError:
                    await asyncio.sleep(random.uniform(0, backoff_s))
                    backoff_s = min(_BACKOFF_MAX_S, backoff_s * 2)
                except Exception:
                    # A defect. Without a session nothing is served near, and no change can begin: try anew.
                    _logger.exception("the session with %s failed", self.name)
                    self.lose(self._session)
                    await asyncio.sleep(_BACKOFF_MAX_S)
        finally:
            self.lose(self._session)

    def end(self) -> None:
        """The ring has changed: nothing that is held under a session with this shard may be served any more."""
        self._is_over = True
        self.lose(self._session)
        self._opened.set()

    def lose(self, session: NearSession | None) -> None:
        """The shard does not know this session: nothing that is held under it may be served."""
        if session is not None:
            session.end()
            if session is self._session:
                self._session = None

    async def read(self, session: NearSession, want: Want, timeout_s: float) -> Answer:
        """Read a key; a shard that cannot answer in time is bypassed."""
        try:
            return await self._reads.submit((session, want), timeout_s)
        except NoSession:
            self.lose(session)
        except ActorError:
            pass  # The database has the answer; what is wrong with the shard shows in `Bypass`.
        return Bypass("unavailable")

    async def wait(self, session: NearSession, want: Want, token: int) -> Answer:
        """Read a key that another process loads."""
        try:
            return await self.port.wait(session.id, want, token)
        except NoSession:
            self.lose(session)
        except ActorError:
            pass
        return Bypass("unavailable")

    async def begin(self, keys: tuple[str, ...], tags: tuple[str, ...], deadline: float) -> tuple[NearSession, int]:
        """Begin a transition; return it with the session under which it is in force.

        Raises:
            Unavailable: the shard did not confirm it before ``deadline`` of the clock; nothing may be committed.
            RingChanged: the shard does not own these keys any more, or not all; nothing is under way.
        """
        self._transitions += 1
        transition = self._transitions
        backoff_s = 0.01
        session: NearSession | None = None
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                while True:
                    session = await self.session()
                    try:
                        begun = await self._begins.submit((session, Begin(transition, keys, tags)))
                        sequence = begun.sequence or await self.port.begun(session.id, transition)
                    except NoSession:
                        self.lose(session)
                        continue
                    except ActorError:
                        await asyncio.sleep(random.uniform(0, backoff_s))
                        backoff_s = min(_BACKOFF_MAX_S, backoff_s * 2)
                        continue
                    self._apply(session, sequence, keys)
                    self._granted(session, sequence, begun.quiet)
                    return session, transition
        except TimeoutError:
            # It may have begun all the same, and the shard may believe that this process has dropped its copies.
            self.lose(session)
            raise Unavailable(self.name, "it did not let the change begin", 1.0) from None

    def tell(self, session: NearSession, message: Fill | GiveUp | End) -> None:
        """Have the shard told soon; again until it has heard, or the session is over."""
        if isinstance(message, Fill) and len(self._outbox) >= _OUTBOX_MAX:
            message = GiveUp(message.key, message.token)
        self._outbox.append((session, message))
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def permits(self, asks: Sequence[PermitAsk]) -> list[PermitAnswer]:
        """Tell of permits that were spent, and ask for more.

        Raises:
            ActorError: the shard does not answer, or there is no session with it.
        """
        session = self.current(self._clock())
        if session is None:
            raise Unavailable(self.name, "no session", 1.0)
        try:
            return await self.port.permits(session.id, asks)
        except NoSession:
            self.lose(session)
            raise Unavailable(self.name, "the session was lost", 1.0) from None

    async def tell_last(self) -> None:
        """Tell the shard what was counted and not told yet, as well as that can be done: the process ends."""
        session = self.current(self._clock())
        # What it did not hear before, and what is new.
        for _ in range(2):
            report = self._reporter.report()
            if session is None or report is None:
                return
            try:
                await self.port.listen(session.id, session.sequence, (), report)
            except (ActorError, NoSession) as away:
                _logger.info("%s did not hear the last counts: %s", self.name, away)
                return
            self._reporter.heard()

    async def record(self, key: str, payload: bytes) -> None:
        """Have a write written behind; when it returns the shard's journal has it. See ``CacheClient.record``."""
        await self._records.submit((key, payload))

    async def _listen(self) -> None:
        session = self._session
        sent_at = self._clock()
        if session is None:
            welcome = await self.port.open_session(self._owner, self._ring)
            if isinstance(welcome, RingVersion):
                self._moved(welcome)
                return
            if self._is_over:
                return  # Another shard has told of the next ring meanwhile.
            near_until = sent_at + welcome.near_s
            self._session = NearSession(welcome.session, welcome.sequence, sent_at + self._lease_s, near_until)
            self._opened.set()
            return
        drops, session.drops = session.drops, []
        # A listen may be answered at once, and often; what there is to tell is worth a few messages a second.
        report = self._reporter.report() if sent_at >= self._report_at else None
        try:
            notices = await self.port.listen(session.id, session.sequence, drops, report)
        except ActorError:
            session.drops = drops + session.drops
            raise
        if report is not None:
            self._reporter.heard()
            self._report_at = sent_at + _REPORT_EVERY_S
        if session is not self._session:
            return
        for register in self._apply(session, notices.sequence, notices.keys):
            await register()
        if session is not self._session:
            return  # It was lost meanwhile, and stays so.
        session.sequence = max(session.sequence, notices.sequence)
        # In this order: what is void may not come back with the right to serve what is not.
        session.reign_floor = max(session.reign_floor, notices.floor)
        session.near_until = sent_at + notices.near_s
        session.valid_until = sent_at + self._lease_s
        self._opened.set()
        for update in notices.updates:
            # It stood when the shard answered, so the changes that the answer tells of came before it.
            self._updated(session, update._replace(sequence=max(update.sequence, notices.sequence)))

    def _apply(
        self, session: NearSession, sequence: int, keys: Sequence[str]
    ) -> Sequence[Callable[[], Awaitable[object]]]:
        if not keys:
            return ()
        session.apply(sequence, keys)
        return self._applied(keys)

    async def _read(self, items: list[tuple[NearSession, Want]]) -> list[Answer | BaseException]:
        session = items[0][0]
        answers = iter(await self.port.read(session.id, [want for owner, want in items if owner is session]))
        return [next(answers) if owner is session else NoSession() for owner, _ in items]

    async def _begin(self, items: list[tuple[NearSession, Begin]]) -> list[Begun | BaseException]:
        session = items[0][0]
        begun = iter(await self.port.begin(session.id, [begin for owner, begin in items if owner is session]))
        return [next(begun) if owner is session else NoSession() for owner, _ in items]

    async def _record(self, entries: list[tuple[str, bytes]]) -> list[None]:
        await self.port.record(entries)
        return [None] * len(entries)

    async def _tell(self) -> None:
        backoff_s = 0.01
        while self._outbox:
            outbox, self._outbox = self._outbox, []
            session = outbox[0][0]
            mine = [message for owner, message in outbox if owner is session]
            self._outbox = [item for item in outbox if item[0] is not session]
            while session is self._session:
                try:
                    await self.port.tell(session.id, mine)
                    backoff_s = 0.01
                    break
                except NoSession:
                    self.lose(session)
                except ActorError:
                    await asyncio.sleep(random.uniform(0, backoff_s))
                    backoff_s = min(_BACKOFF_MAX_S, backoff_s * 2)
        self._telling = None
