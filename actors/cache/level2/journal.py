"""Write-behind through a Redis stream, for writes whose loss would matter: kept there until their sink has them."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Never, TypeVar

from actors.cache.level2.node import RESOURCE, RETRY_AFTER_S
from actors.cache.level2.scripts import APPEND, READ, REMOVE, Script
from actors.cache.level2.sealing import Sealer
from actors.cache.level2.server import Command, RedisServer
from actors.runtime.coalescer import Coalescer
from actors.runtime.errors import ActorError, OutcomeUnknown, Overloaded, Unavailable

UNAPPLIED_MAX = 100_000
BATCH_MAX = 100
# One call of the script appends at most 32 * 64 entries: some 10 ms, in which Redis serves nobody else.
GROUPS_MAX = 32
GROUP_MAX = 64
# Longer than for the cache: whoever appends has nowhere else to go.
DEADLINE_S = 1.0
BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 1.0
# An append that was given up may be carried out by a server that stalled, after it was looked for. Until then.
RECHECK_S = 1.0
# Of Redis, in calls that may be repeated.
_PASSING = (Unavailable, OutcomeUnknown)

_T = TypeVar("_T")


class NotOwner(ActorError):
    """Another has taken the journal over, or Redis lost what it held. Nothing was done; nothing more will be."""

    def __init__(self, journal: str) -> None:
        super().__init__(journal)
        self.journal = journal

    def __str__(self) -> str:
        return f"the journal {self.journal} has another owner"


@dataclass(frozen=True, slots=True)
class Entry:
    """A write that waits for its sink."""

    id: str
    """Redis' own, ``milliseconds-sequence``: never used twice while Redis keeps its data."""
    key: str
    payload: bytes

    @property
    def order(self) -> tuple[int, int]:
        """The id as numbers: a higher one was appended later."""
        return order_of(self.id)


def order_of(identifier: str) -> tuple[int, int]:
    """Return an id as numbers."""
    milliseconds, _, sequence = identifier.partition("-")
    return int(milliseconds), int(sequence)


Sink = Callable[[Sequence[Entry]], Awaitable[None]]


class Journal:
    """Entries that are in Redis from the end of ``append`` until a sink has returned that was given them.

    Guaranteed: entries reach the sink in the order of their ids, all of them, at least once; also after the death of
    this process, from the next one that opens the journal. Appends of one process are in the order of their calls.
    None is dropped for want of room: an append is refused instead.

    A sink must be idempotent, and must not let an older entry replace a newer one (``Entry.order``): it is given a
    batch again where it failed, where its success could not be noted, and, once the journal has changed hands, while
    the owner before may still be in the midst of an older batch.

    Not guaranteed: more than Redis itself keeps. Where its machine fails without ``appendfsync always``, its process
    without an append-only file, or a lagging replica takes over, acknowledged entries may be gone; ids are not given
    out again even then (see ``open``). It must not evict keys that have no time to live.

    One owner at a time: ``open`` takes the journal from whoever had it, whose calls raise NotOwner from then on. In a
    Redis Cluster all of a journal is on one node, by the hash tag of its ``name``.
    """

    def __init__(
        self,
        url: str,
        sealer: Sealer,
        *,
        name: str,
        unapplied_max: int = UNAPPLIED_MAX,
        batch_max: int = BATCH_MAX,
        deadline_s: float = DEADLINE_S,
        draw: random.Random | None = None,
    ) -> None:
        """Raises ValueError for a URL that cannot be understood. A sink gets at most ``batch_max`` entries at once."""
        assert unapplied_max > 0
        assert batch_max > 0
        assert not set(name) & set("{}"), "the name is a hash tag"
        self._name = name
        self._sealer = sealer
        self._draw = draw or random.Random()
        # One appends, one reads or removes, and one is for whoever asks for the depth.
        self._server = RedisServer(url, pool_size=3, deadline_s=deadline_s, draw=self._draw)
        self._stream = f"{{{name}}}:entries"
        self._owner = f"{{{name}}}:owner"
        # Not a counter, which would begin anew in a Redis that lost its data, and make an old owner the owner again.
        self._token = secrets.token_hex(16)
        self._unapplied_max = unapplied_max
        self._batch_max = batch_max
        # One call at a time: two on two connections could be carried out in either order.
        self._appends: Coalescer[Sequence[tuple[str, bytes]], list[str]] = Coalescer(
            self._append_groups, name="journal", batch_max=GROUPS_MAX, in_flight_max=1
        )
        self._appended = asyncio.Event()
        self._floor = (0, 0)
        self._running = False
        self._last_failure: Exception | None = None

    @property
    def last_failure(self) -> Exception | None:
        """Why ``run`` does not get on at the moment; None while it does."""
        return self._last_failure

    async def open(self, after: tuple[int, int] = (0, 0)) -> None:
        """Become the owner; what was not applied is waiting for ``run``. Safe to repeat.

        New ids are above ``after`` (an ``Entry.order``), and above all that this journal has seen, also in a Redis that
        lost its data and whose clock went back: so a sink may tell by its last id what it has applied.

        Raises Unavailable; the owner before may have lost the journal nevertheless.
        """
        self._floor = max(self._floor, after)
        await self._ask(Command(self._owner, ("SET", self._owner, self._token)))

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> list[str]:
        """Return the ids of the entries, pairs of key and payload, once Redis has them.

        Up to 64 are appended all or none; of more, those before a failure may have been. Raises Overloaded where
        too many are unapplied, NotOwner, and Unavailable: nothing was done. Raises OutcomeUnknown where they may have
        been appended: to repeat it may append them twice. So may a caller have done that is cancelled.
        """
        ids: list[str] = []
        for start in range(0, len(entries), GROUP_MAX):
            ids += await self._appends.submit(entries[start : start + GROUP_MAX])
        return ids

    async def depth(self) -> int:
        """Return how many entries are unapplied; raises Unavailable."""
        return int(await self._ask(Command(self._stream, ("XLEN", self._stream))))

    async def run(self, sink: Sink) -> Never:
        """Hand entries to the sink, the oldest first and one batch at a time, until cancelled.

        A batch is removed after the sink has returned. Where the sink raises it is given the same batch again, after a
        pause that grows to a second, for ever; so it is where Redis fails. Raises NotOwner, and SealBroken for an entry
        of another key, of which nothing is removed.
        """
        assert not self._running, "one applies at a time"
        self._running = True
        try:
            while True:
                self._appended.clear()
                batch = await self._patiently(self._read, _PASSING)
                if not batch:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(RECHECK_S):
                            await self._appended.wait()
                    continue
                await self._patiently(lambda batch=batch: sink(batch), Exception)  # type: ignore[misc]
                await self._patiently(lambda last=batch[-1]: self._remove_to(last), _PASSING)  # type: ignore[misc]
        finally:
            self._running = False

    async def close(self) -> None:
        """Refuse further appends, wait for those under way, and close all connections. Cancel ``run`` before."""
        await self._appends.drain()
        await self._server.close()

    async def _append_groups(self, groups: list[Sequence[tuple[str, bytes]]]) -> list[list[str] | Overloaded]:
        words: list[str | int | bytes] = [self._token, self._unapplied_max, *self._floor]
        for group in groups:
            words.append(len(group))
            for key, payload in group:
                words += (key, self._sealer.seal(self._label(key), payload))
        try:
            answers = await self._run(APPEND, *words)
        finally:
            # Also where it is not known: they may be there.
            self._appended.set()
        for ids in answers:
            if ids:
                self._floor = max(self._floor, order_of(ids[-1].decode()))
        return [
            Overloaded("journal", RETRY_AFTER_S) if ids is None else [identifier.decode() for identifier in ids]
            for ids in answers
        ]

    async def _read(self) -> list[Entry]:
        found = await self._run(READ, self._token, self._batch_max)
        entries = [self._entry(identifier.decode(), fields) for identifier, fields in found]
        if entries:
            self._floor = max(self._floor, entries[-1].order)
        return entries

    async def _remove_to(self, last: Entry) -> None:
        milliseconds, sequence = last.order
        await self._run(REMOVE, self._token, f"{milliseconds}-{sequence + 1}")

    def _entry(self, identifier: str, fields: list[bytes]) -> Entry:
        _, key, _, sealed = fields
        return Entry(identifier, key.decode(), self._sealer.open(self._label(key.decode()), sealed))

    def _label(self, key: str) -> str:
        return f"{self._stream}.{key}"

    async def _run(self, script: Script, *words: str | int | bytes) -> Any:
        """Run one of the scripts, which all ask for the owner first."""
        command = Command(self._stream, (2, self._stream, self._owner, *words), script)
        (answer,) = await self._server.call([command])
        if isinstance(answer, OutcomeUnknown):
            raise OutcomeUnknown("a call to the journal", answer.reason) from answer
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise NotOwner(self._name)
        return answer

    async def _ask(self, command: Command) -> Any:
        (answer,) = await self._server.call([command])
        if isinstance(answer, OutcomeUnknown):
            raise Unavailable(RESOURCE, answer.reason, RETRY_AFTER_S) from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _patiently(
        self, attempt: Callable[[], Awaitable[_T]], passing: type[Exception] | tuple[type[Exception], ...]
    ) -> _T:
        """Repeat what fails in passing, after pauses that grow."""
        pause_s = BACKOFF_MIN_S
        while True:
            try:
                result = await attempt()
            except passing as error:
                self._last_failure = error
                await asyncio.sleep(pause_s * self._draw.uniform(0.5, 1.0))
                pause_s = min(BACKOFF_MAX_S, pause_s * 2)
            else:
                self._last_failure = None
                return result
