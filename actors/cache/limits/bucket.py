"""A process's part of rate limits, one key: it spends what the key's shard lent, and asks ahead of need."""

from __future__ import annotations

import math
from enum import Enum, auto

from actors.cache.limits.counts import LimiterCounts
from actors.cache.limits.ledger import EXACT_MAX
from actors.cache.limits.messages import LEASE_S, TICK_S, WINDOW_S, PermitAnswer, PermitAsk
from actors.cache.limits.spending import Spending

_AHEAD_MIN = 4
_REFUSE_ALONE_S = 0.25
"""How long a process refuses by itself after it has asked: others may give permits back before they expire, and a shard
that did not answer may have been slow for a moment."""
_NEVER = -1


class Taking(Enum):
    """What became of an attempt to take a permit."""

    TAKEN = auto()
    TAKEN_LOW = auto()
    """Taken, and it is time to ask for more."""
    EMPTY = auto()
    """The shard has to be asked: wait for its answer, and try again."""
    REFUSED = auto()


class PermitBucket:
    """The permits of one key in one process. Times are those of one monotonic clock.

    A permit is spent only within ``lease_s`` after the question was sent that it came with, or that renewed it. What is
    asked for ahead doubles whenever half of it is spent before the lease has to be renewed, and halves when it is not:
    an idle key holds little and a busy one asks seldom.

    While the shard cannot be asked, or says that it does not know enough, a permit is taken if this process has spent
    less than its static share within ``window_s``, whoever lent those: ``limit`` // processes, and at least one. So
    with N processes no span of ``window_s`` has more than ``limit`` + (N - 1) * max(1, ``limit`` // N) permits, and no
    more than max(``limit``, N) where load is spread evenly: one process may have spent the whole limit before the
    others lost the shard, and that is all.
    """

    __slots__ = (
        "_asked_waiting",
        "_counts",
        "_held",
        "_is_static",
        "_lease_s",
        "_lease_until",
        "_life",
        "_low",
        "_number",
        "_processes",
        "_processes_min",
        "_refused_until",
        "_remaining",
        "_retry_at",
        "_sent_at",
        "_size",
        "_spending",
        "_window_s",
        "is_asking",
        "is_minor",
        "key",
        "limit",
        "used_at",
    )

    def __init__(
        self,
        key: str,
        limit: int,
        *,
        processes: int,
        is_minor: bool = False,
        counts: LimiterCounts | None = None,
        lease_s: float = LEASE_S,
        window_s: float = WINDOW_S,
    ) -> None:
        """``processes``: how many there are at least, also where no shard has said so. Static decisions are counted in
        ``counts``."""
        assert limit > 0
        assert processes > 0
        self.key = key
        self.limit = limit
        self.is_asking = False
        self.used_at = -math.inf
        self.is_minor = is_minor
        self._counts = counts or LimiterCounts()
        self._processes = self._processes_min = processes
        self._lease_s = lease_s
        self._window_s = window_s
        self._spending = Spending(0.0 if limit <= EXACT_MAX else TICK_S, window_s)
        self._held = 0
        self._low = _NEVER
        self._size = _AHEAD_MIN
        self._lease_until = -math.inf
        self._refused_until = -math.inf
        self._retry_at = -math.inf
        self._remaining = limit
        self._is_static = False
        self._life = ""
        self._number = _NEVER
        self._sent_at = -math.inf
        self._asked_waiting = 0

    @property
    def held(self) -> int:
        """Permits at hand, if the lease has not run out."""
        return self._held

    @property
    def share(self) -> int:
        """What this process may spend in a window while it keeps to its static share."""
        return max(1, self.limit // self._processes)

    def take(self, now: float) -> Taking:
        """Take one permit, if there is one."""
        self.used_at = now
        if self._held and now < self._lease_until:
            self._held -= 1
            self._spending.note(now)
            return Taking.TAKEN if self._held > self._low or self.is_asking else Taking.TAKEN_LOW
        if self._is_static:
            self._counts.static_decisions += 1
            if self._spending.in_window(now) >= self.share:
                return Taking.REFUSED
            self._spending.note(now)
            return Taking.TAKEN
        return Taking.REFUSED if now < self._refused_until else Taking.EMPTY

    def put_back(self) -> None:
        """Undo the ``take`` of just now. The shard has the permit back with the next question."""
        self._spending.undo()

    def remaining(self, now: float) -> int:
        """Return how many permits could be taken now, as far as this process knows."""
        if self._is_static:
            return max(0, self.share - self._spending.in_window(now))
        return self._held + self._remaining if now < self._lease_until else self._remaining

    def retry_in_s(self, now: float) -> float:
        """Return in how many seconds a permit may be free, for a request that was refused."""
        if not self._is_static:
            return max(0.0, self._retry_at - now)
        return self._spending.falls_below_in_s(self.share, now)

    def is_due(self, now: float) -> bool:
        """Whether the shard is to be told of what was spent, or asked to renew the lease."""
        if self.is_asking:
            return False
        if self._is_static:
            return True
        return now >= self._sent_at + self._lease_s / 2 and (self._held > 0 or self._spending.untold > 0)

    def is_worth_asking(self, now: float) -> bool:
        """Whether the shard is to be asked because the static share has refused somebody."""
        return self._is_static and now >= self._sent_at + _REFUSE_ALONE_S

    def is_over(self, now: float) -> bool:
        """Whether nothing has to be remembered of this key any more."""
        return not self.is_asking and self.used_at <= now - self._window_s - self._lease_s

    def ask(self, now: float, number: int, waiting: int) -> PermitAsk:
        """Return the next question, of a number above that of the last. What is too much is given back with it."""
        assert not self.is_asking
        assert number > self._number
        self._adapt(now)
        self.is_asking = True
        self._number, self._sent_at, self._asked_waiting = number, now, waiting
        ahead = 0 if self.limit <= EXACT_MAX or self._is_unused(now) else max(0, self._size - self._held)
        spent = self._spending.tell(now)
        return PermitAsk(
            self.key, self.limit, number, self._spending.total, spent, self._held, waiting, ahead, self.is_minor
        )

    def give_back(self, now: float, number: int) -> PermitAsk | None:
        """Return what tells the shard that nothing is held any more, None where it need not hear of this key.

        From then on the key keeps to its static share. An answer to a question that is out is not taken: what that was
        granted is given back too, by the higher number.
        """
        told = None
        if self.is_asking or self._spending.untold or now < self._lease_until:
            self._spending.untell()
            spent = self._spending.tell(now)
            told = PermitAsk(self.key, self.limit, number, self._spending.total, spent, 0, 0, 0, self.is_minor)
        self._held = 0
        self.failed()
        return told

    def answered(self, now: float, answer: PermitAnswer) -> None:
        """Take the answer to the last question; any other is passed over."""
        if not self.is_asking or answer.number != self._number:
            return
        self.is_asking = False
        # One that starts knows only of what was in this question.
        self._spending.confirm(now, is_known=answer.life == self._life)
        self._life = answer.life
        self._held += answer.granted
        self._lease_until = self._sent_at + self._lease_s
        self._is_static = answer.is_static
        self._processes = max(self._processes_min, answer.owners)
        self._remaining = answer.remaining
        self._retry_at = now + answer.retry_in_s
        is_short = answer.granted < self._asked_waiting
        self._refused_until = now + min(answer.retry_in_s, _REFUSE_ALONE_S) if is_short else -math.inf
        ahead = self._held - self._asked_waiting
        self._low = ahead // 2 if answer.granted > self._asked_waiting else _NEVER
        self._size = min(self._size, max(_AHEAD_MIN, ahead))

    def failed(self) -> None:
        """Keep to the static share: the last question was not answered, and no answer to it will be taken."""
        self.is_asking = False
        self._is_static = True
        self._spending.untell()

    def _adapt(self, now: float) -> None:
        """Choose how much to hold."""
        if now >= self._lease_until or self._is_unused(now):
            self._held = 0
        if now < self._sent_at + self._lease_s / 2:
            self._size *= 2
        else:
            self._size = max(_AHEAD_MIN, self._size // 2)
            self._held = min(self._held, self._size)

    def _is_unused(self, now: float) -> bool:
        return self.used_at < now - self._lease_s / 2
