"""The directory: which process holds which keys near, what it has yet to drop, and until when it is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from sys import getsizeof

from actors.cache.messages import NoSession, Notices, Publication, Update

UPDATE_WITHIN_S = 0.02
"""How long what a key has become waits for a notice to travel with. Reads of it go to the shard meanwhile."""

# Measured: the number of a permission, and its place in a dict under churn.
_HOLD_BYTES = 110


class Session:
    """One process at one shard.

    A process that holds a key near is told before the key changes, and the change waits until it has acknowledged or
    its lease has run out. The lease counts from when the process sent its last listen, here from when it arrived, so
    the process stops believing first.
    """

    __slots__ = (
        "acknowledged",
        "heard_at",
        "held",
        "held_bytes",
        "id",
        "listener",
        "notices",
        "owner",
        "updates",
        "updates_are_due",
        "waiting",
    )

    def __init__(self, session: int, owner: str, now: float, sequence: int) -> None:
        self.id = session
        self.owner = owner
        self.heard_at = now
        self.acknowledged = sequence
        self.held: dict[str, int] = {}
        self.held_bytes = 0
        self.notices: dict[str, int] = {}
        self.updates: dict[str, Update] = {}
        self.updates_are_due = False
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.listener: asyncio.Future[None] | None = None

    def acknowledge(self, sequence: int) -> None:
        """The process has dropped everything up to this number."""
        if sequence <= self.acknowledged:
            return
        self.acknowledged = sequence
        self.notices = {key: number for key, number in self.notices.items() if number > sequence}
        still: list[tuple[int, asyncio.Future[None]]] = []
        for number, done in self.waiting:
            if number > sequence:
                still.append((number, done))
            elif not done.done():
                done.set_result(None)
        self.waiting = still

    def notify(self, sequence: int, key: str) -> None:
        """Have the process drop the key, when it is answered next."""
        self.notices[key] = sequence
        self.updates.pop(key, None)

    def offer(self, update: Update) -> None:
        """Have the process hold the key again, in its new state, soon."""
        if not self.updates:
            asyncio.get_running_loop().call_later(UPDATE_WITHIN_S, self._wake_for_updates)
        self.updates[update.key] = update

    def take_updates(self) -> tuple[Update, ...]:
        """Return what is offered, once."""
        updates, self.updates, self.updates_are_due = tuple(self.updates.values()), {}, False
        return updates

    @property
    def is_pressing(self) -> bool:
        """Whether somebody waits for the process to hear of something."""
        return bool(self.waiting) or self.updates_are_due

    def _wake_for_updates(self) -> None:
        if self.updates:
            self.updates_are_due = True
            self.wake()

    def wake(self) -> None:
        """Answer the listen that is open."""
        if self.listener is not None and not self.listener.done():
            self.listener.set_result(None)

    def acknowledgement_of(self, sequence: int) -> asyncio.Future[None]:
        """Return what is done once the process has dropped everything up to this number, or is not believed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((sequence, done))
        return done

    def end(self) -> None:
        """Nobody waits for this process any more."""
        for _, done in self.waiting:
            if not done.done():
                done.set_result(None)
        self.waiting = []
        self.wake()


class Directory:
    """All sessions of a shard. What processes may hold near takes memory here, ``bytes_used``, within a bound."""

    def __init__(self, lease_s: float, held_max: int, bytes_max: int, first_session: int) -> None:
        self._lease_s = lease_s
        self._held_max = held_max
        self._bytes_max = bytes_max
        self._next_session = first_session
        self._holds = 0
        self.bytes_used = 0
        self._sessions: dict[int, Session] = {}

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, owner: str, now: float, sequence: int) -> Session:
        """Begin a session. An older one of the same owner runs on until its lease ends."""
        self._next_session += 1
        session = self._sessions[self._next_session] = Session(self._next_session, owner, now, sequence)
        return session

    def get(self, session: int) -> Session:
        """Return a session that is believed; raise NoSession."""
        found = self._sessions.get(session)
        if found is None:
            raise NoSession
        return found

    def hold(self, session: Session, key: str) -> int:
        """Note that the process may keep the key near; return the number of this permission, 0: it may not."""
        if key not in session.held:
            size_bytes = _size_bytes(key)
            if len(session.held) >= self._held_max or self.bytes_used + size_bytes > self._bytes_max:
                return 0
            session.held_bytes += size_bytes
            self.bytes_used += size_bytes
        self._holds += 1
        session.held[key] = self._holds
        return self._holds

    def dropped(self, session: Session, drops: Iterable[tuple[str, int]]) -> None:
        """The process let go of keys of its own accord, each under the permission of that number."""
        for key, hold in drops:
            # A later permission for the same key has crossed this report on the wire.
            if session.held.get(key) == hold:
                self._take_back(session, key)

    def revoke(self, key: str, sequence: int, writer: Session | None) -> list[asyncio.Future[None]]:
        """Have every holder of the key drop it; return what is done once each has, or is not believed any more.

        One that was told before and has not acknowledged yet may still serve the key. The writer's own process is told
        too, since others may change the key next, but neither in a hurry nor waited for: it drops the key as it hears
        the answer.
        """
        acknowledgements: list[asyncio.Future[None]] = []
        for session in self._sessions.values():
            if key in session.held:
                self._take_back(session, key)
                session.notify(sequence, key)
            if session is not writer and key in session.notices:
                acknowledgements.append(session.acknowledgement_of(session.notices[key]))
                session.wake()
        return acknowledgements

    def holders(self, key: str) -> list[Session]:
        """Return the sessions of the processes that hold the key."""
        return [session for session in self._sessions.values() if key in session.held]

    def offer(self, session: Session, state: Publication, sequence: int) -> None:
        """Let a process hold the key again, as it is now."""
        if self._sessions.get(session.id) is session:
            hold = self.hold(session, state.key)
            if hold:
                session.offer(Update(state.key, state.value, state.version, state.ttl_s, sequence, hold))

    def knows(self, key: str) -> bool:
        """Whether a process holds the key, or has yet to say that it does not any more."""
        return any(key in session.held or key in session.notices for session in self._sessions.values())

    async def listen(self, session: Session, acknowledged: int, now: float, wait_s: float) -> Notices:
        """Prolong the lease, take the acknowledgement, and answer with what must be dropped, once anybody waits for it,
        and with what has changed."""
        session.heard_at = now
        session.acknowledge(acknowledged)
        session.wake()  # An older listen of the process was given up by it.
        if not session.is_pressing:
            listener: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            session.listener = listener
            timer = asyncio.get_running_loop().call_later(wait_s, session.wake)
            try:
                await listener
            finally:
                timer.cancel()
                if session.listener is listener:
                    session.listener = None
        sequence = max(session.notices.values(), default=max(acknowledged, session.acknowledged))
        return Notices(sequence, tuple(session.notices), session.take_updates())

    def expire(self, now: float) -> list[Session]:
        """Drop the sessions whose lease has run out, and return them."""
        lapsed = [session for session in self._sessions.values() if session.heard_at + self._lease_s <= now]
        for session in lapsed:
            del self._sessions[session.id]
            self.bytes_used -= session.held_bytes
            session.end()
        return lapsed

    def _take_back(self, session: Session, key: str) -> None:
        del session.held[key]
        session.held_bytes -= _size_bytes(key)
        self.bytes_used -= _size_bytes(key)


def _size_bytes(key: str) -> int:
    return getsizeof(key) + _HOLD_BYTES
