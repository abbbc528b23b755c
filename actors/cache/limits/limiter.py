"""Rate limits as a process uses them: most requests are decided here, and shards are asked in batches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from actors.cache.limits.bucket import PermitBucket, Taking
from actors.cache.limits.counts import LimiterCounts
from actors.cache.limits.messages import ASKS_MAX, PermitAnswer, PermitShard
from actors.cache.limits.returning import Return, give_back
from actors.runtime.errors import ActorError, Overloaded

CHECK_EVERY_S = 1.0
KEYS_MAX = 50_000
MINOR_KEYS_MAX = 10_000
_ROUNDS_MAX = 5
"""A request that met no permit after so many answers is refused: others, who came before it, have taken them."""

_logger = logging.getLogger(__name__)


class Limit(NamedTuple):
    """So many permits a minute of one key; more than 0. ``is_minor``: strangers can make up as many keys of its kind as
    they like, so that these have a bound of their own."""

    key: str
    per_minute: int
    is_minor: bool = False


class Standing(NamedTuple):
    """How a limit stands after a request: ``remaining`` as far as this process knows."""

    per_minute: int
    remaining: int


class Verdict(NamedTuple):
    """Whether a request may go on. ``standings`` are those of its limits, in order; one that is refused may come again
    after ``retry_in_s``, and ``refused_by`` is the place of the limit that had no permit."""

    admitted: bool
    standings: tuple[Standing, ...]
    retry_in_s: float = 0.0
    refused_by: int = -1


class _Entry:
    """A key in use: requests that wait for the shard's answer wait for ``answered``."""

    __slots__ = ("answered", "bucket", "waiting")

    def __init__(self, bucket: PermitBucket) -> None:
        self.bucket = bucket
        self.waiting = 0
        self.answered = asyncio.Event()

    def wake(self) -> None:
        """Have the requests that wait try again."""
        self.waiting = 0
        self.answered.set()
        self.answered = asyncio.Event()


class Limiter:
    """The permits of one process. Bound to one loop.

    Where there are no shards every key keeps to its static share.
    """

    def __init__(
        self,
        shard_of: Callable[[str], PermitShard] | None,
        *,
        processes: int,
        clock: Callable[[], float] = time.monotonic,
        keys_max: int = KEYS_MAX,
        minor_keys_max: int = MINOR_KEYS_MAX,
    ) -> None:
        """``processes``: how many share the limits, at least."""
        self.counts = LimiterCounts()
        self._shard_of = shard_of
        self._processes = processes
        self._clock = clock
        self._keys_max = keys_max
        self._minor_keys_max = minor_keys_max
        self._minor_keys = 0
        self._entries: dict[str, _Entry] = {}
        self._due: dict[PermitShard, dict[_Entry, None]] = {}
        self._asking: dict[PermitShard, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._number = 0

    def __len__(self) -> int:
        """Return the number of keys in use."""
        return len(self._entries)

    async def close(self) -> None:
        """Give back what was lent and not spent, and ask no more; takes little more than a second. Safe to repeat.

        Without it the shard would take those permits for spent once their lease has run out, for a window. A shard that
        does not answer does so still. Whatever is taken after this is of the static shares.
        """
        shard_of, self._shard_of = self._shard_of, None
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._due.clear()
        if shard_of is not None:
            await self._give_back(shard_of)

    def has_room(self, limit: Limit) -> bool:
        """Say whether ``take`` can count a limit: a minor one may be too many."""
        return not limit.is_minor or limit.key in self._entries or self._minor_keys < self._minor_keys_max

    def take_at_hand(self, key: str, per_minute: int) -> int | None:
        """Take one permit of a limit if it is at hand, and return how many are left; costs two microseconds.

        None says no more than that none was taken: ask ``take``.
        """
        entry = self._entries.get(key)
        if entry is None or entry.bucket.limit != per_minute:
            return None
        bucket = entry.bucket
        now = self._clock()
        taking = bucket.take(now)
        if taking is Taking.TAKEN_LOW:
            self._ask(entry)
        elif taking is not Taking.TAKEN:
            return None
        return bucket.remaining(now)

    async def take(self, *limits: Limit) -> Verdict:
        """Take one permit of each limit, or none of any. Waits for a shard, under a second, where none is at hand.

        Raises:
            Overloaded: more keys are in use than can be remembered.
        """
        rounds = 0
        while True:
            now = self._clock()
            entries = [self._entry(limit) for limit in limits]
            short = self._take_all(entries, now)
            if short is None:
                return Verdict(True, _standings(entries, now))
            entry, taking = short
            if taking is Taking.REFUSED or rounds == _ROUNDS_MAX:
                if entry.bucket.is_worth_asking(now):
                    self._ask(entry)
                standings, retry_in_s = _standings(entries, now), entry.bucket.retry_in_s(now)
                return Verdict(False, standings, retry_in_s, entries.index(entry))
            rounds += 1
            await self._wait(entry)

    def _take_all(self, entries: Sequence[_Entry], now: float) -> tuple[_Entry, Taking] | None:
        """Take a permit of each; return the first that has none, and then nothing was taken."""
        for place, entry in enumerate(entries):
            taking = entry.bucket.take(now)
            if taking is Taking.TAKEN_LOW:
                self._ask(entry)
            elif taking is not Taking.TAKEN:
                for taken in entries[:place]:
                    taken.bucket.put_back()
                return entry, taking
        return None

    async def _wait(self, entry: _Entry) -> None:
        """Wait for the next answer of the key's shard, or for what stands for one."""
        entry.waiting += 1
        answered = entry.answered
        self._ask(entry)
        await answered.wait()

    def _entry(self, limit: Limit) -> _Entry:
        entry = self._entries.get(limit.key)
        if entry is None:
            entry = self._open(limit)
        elif entry.bucket.limit != limit.per_minute:
            entry.bucket.limit = limit.per_minute
        return entry

    def _open(self, limit: Limit) -> _Entry:
        if not self.has_room(limit) or len(self._entries) - self._minor_keys >= self._keys_max:
            raise Overloaded("the rate limits", CHECK_EVERY_S)
        bucket = PermitBucket(
            limit.key, limit.per_minute, processes=self._processes, is_minor=limit.is_minor, counts=self.counts
        )
        entry = self._entries[limit.key] = _Entry(bucket)
        self._minor_keys += limit.is_minor
        if self._shard_of is None:
            entry.bucket.failed()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_EVERY_S, self._check)
        return entry

    def _check(self) -> None:
        """Forget keys that are over, and ask for those whose shard has to hear of them."""
        now = self._clock()
        over = [key for key, entry in self._entries.items() if entry.bucket.is_over(now)]
        for key in over:
            self._minor_keys -= self._entries.pop(key).bucket.is_minor
        if self._shard_of is not None:
            for entry in self._entries.values():
                if entry.bucket.is_due(now):
                    self._ask(entry)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CHECK_EVERY_S, self._check) if self._entries else None

    def _ask(self, entry: _Entry) -> None:
        """Have the key's shard asked with the next batch."""
        if entry.bucket.is_asking or self._shard_of is None:
            return
        shard = self._shard_of(entry.bucket.key)
        self._due.setdefault(shard, {})[entry] = None
        if shard not in self._asking:
            self._asking[shard] = asyncio.get_running_loop().create_task(self._ask_all(shard))

    async def _ask_all(self, shard: PermitShard) -> None:
        """Ask until nothing is due; what comes to be due meanwhile makes the next batch."""
        try:
            while due := self._due.pop(shard, None):
                batch = [entry for entry in islice(due, ASKS_MAX) if not entry.bucket.is_asking]
                if len(due) > ASKS_MAX:
                    self._due[shard] = dict.fromkeys(islice(due, ASKS_MAX, None))
                await self._ask_batch(shard, batch)
        finally:
            del self._asking[shard]

    async def _ask_batch(self, shard: PermitShard, batch: Sequence[_Entry]) -> None:
        now = self._clock()
        asks = [entry.bucket.ask(now, self._next_number(), entry.waiting) for entry in batch]
        answers: Sequence[PermitAnswer] = ()
        try:
            answers = await shard.permits(asks)
        except ActorError as away:
            _logger.debug("limits keep to their static shares: %s", away)
        except Exception:
            # A defect. Static shares are safe, and the next check tries anew.
            _logger.exception("limits keep to their static shares")
        finally:
            self._take_in(batch, answers)

    def _take_in(self, batch: Sequence[_Entry], answers: Sequence[PermitAnswer]) -> None:
        """Give each key its answer; without answers, none has one."""
        now = self._clock()
        for entry, answer in zip(batch, answers, strict=False):
            entry.bucket.answered(now, answer)
        self.counts.answered += len(answers)
        self.counts.unanswered += len(batch) - len(answers)
        for entry in batch[len(answers) :]:
            entry.bucket.failed()
        for entry in batch:
            entry.wake()

    async def _give_back(self, shard_of: Callable[[str], PermitShard]) -> None:
        now = self._clock()
        returns: dict[PermitShard, list[Return]] = {}
        for entry in self._entries.values():
            held = entry.bucket.held
            ask = entry.bucket.give_back(now, self._next_number())
            if ask is not None:
                returns.setdefault(shard_of(ask.key), []).append(Return(ask, held))
            # One that was due, and in no question yet.
            entry.wake()
        self.counts.returned += await give_back(returns)

    def _next_number(self) -> int:
        self._number += 1
        return self._number


def _standings(entries: Sequence[_Entry], now: float) -> tuple[Standing, ...]:
    return tuple(Standing(entry.bucket.limit, entry.bucket.remaining(now)) for entry in entries)
