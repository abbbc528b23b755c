"""Processes and shards of one key in simulated time: real buckets and ledgers, a network that delays and loses, shards
that are away and come back empty. Every run is determined by what it is given."""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from actors.cache.limits.bucket import PermitBucket, Taking
from actors.cache.limits.ledger import PermitLedger
from actors.cache.limits.messages import WINDOW_S, PermitAnswer, PermitAsk

CALL_TIMEOUT_S = 0.3
CHECK_EVERY_S = 1.0
DELAY_MAX_S = 0.01
_KEY = "limit:a"


@dataclass
class Outcome:
    """When permits were taken, by which process, and how many times a shard was asked."""

    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    takers: list[int] = field(default_factory=list)
    asks: int = 0

    def most_in(self, span_s: float) -> int:
        """Return the most that were taken in any span of that length, its beginning not in it."""
        most, first = 0, 0
        for last, at in enumerate(self.taken):
            while self.taken[first] <= at - span_s:
                first += 1
            most = max(most, last - first + 1)
        return most

    def least_in(self, span_s: float, start_s: float, end_s: float) -> int:
        """Return the least that were taken in any closed span of that length between two times."""
        starts = [start_s, *(at + 1e-9 for at in self.taken if start_s <= at and at + span_s < end_s)]
        return min(bisect_right(self.taken, start + span_s) - bisect_left(self.taken, start) for start in starts)


class Fleet:
    """N processes that share one limit, and the shard that owns its key."""

    def __init__(self, limit: int, processes: int, seed: int, *, losses: float = 0.0, warm: bool = True) -> None:
        """``losses``: the part of all calls of which the question or the answer is lost. ``warm``: the first shard has
        been there for so long that it knows everything."""
        self.now = 0.0
        self.outcome = Outcome()
        self._limit = limit
        self._draw = random.Random(seed)
        self._losses = losses
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._numbers = itertools.count()
        self._lives = itertools.count()
        self._ledger: PermitLedger | None = None
        self._cut_off: set[int] = set()
        self._buckets = [PermitBucket(_KEY, limit, processes=processes) for _ in range(processes)]
        self._waiting: list[deque[float]] = [deque() for _ in range(processes)]
        self.start_shard()
        if warm:
            self.now = 2 * WINDOW_S
        for process in range(processes):
            self.at(self.now + CHECK_EVERY_S * (process + 1) / processes, partial(self._check, process))

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._events, (when, next(self._order), event))

    def arrive(self, when: float, process: int) -> None:
        """Have a request arrive."""
        self.at(when, lambda: self._take(process, is_new=True))

    def lose_shard(self) -> None:
        """The shard dies."""
        self._ledger = None

    def start_shard(self) -> None:
        """A shard starts, and knows nothing."""
        self._ledger = PermitLedger(clock=lambda: self.now, life=str(next(self._lives)))

    def cut_off(self, process: int) -> None:
        """A process cannot reach the shard."""
        self._cut_off.add(process)

    def join(self, process: int) -> None:
        """It can again."""
        self._cut_off.discard(process)

    def run(self, until: float) -> Outcome:
        """Let everything happen up to a time."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        return self.outcome

    def _take(self, process: int, *, is_new: bool) -> None:
        bucket = self._buckets[process]
        match bucket.take(self.now):
            case Taking.TAKEN | Taking.TAKEN_LOW as taking:
                self.outcome.taken.append(self.now)
                self.outcome.takers.append(process)
                if taking is Taking.TAKEN_LOW:
                    self._ask(process)
            case Taking.REFUSED:
                self.outcome.refused.append(self.now)
            case Taking.EMPTY:
                queue = self._waiting[process]
                queue.append(self.now) if is_new else queue.appendleft(self.now)
                self._ask(process)

    def _check(self, process: int) -> None:
        if self._buckets[process].is_due(self.now):
            self._ask(process)
        self.at(self.now + CHECK_EVERY_S, lambda: self._check(process))

    def _ask(self, process: int) -> None:
        bucket = self._buckets[process]
        if bucket.is_asking:
            return
        self.outcome.asks += 1
        ask = bucket.ask(self.now, next(self._numbers), len(self._waiting[process]))
        there, back = (self._draw.uniform(0, DELAY_MAX_S) for _ in range(2))
        is_lost, is_answer_lost = (self._draw.random() < self._losses / 2 for _ in range(2))
        if is_lost:
            self.at(self.now + CALL_TIMEOUT_S, lambda: self._failed(process))
        else:
            self.at(self.now + there, lambda: self._asked(process, ask, back, is_answer_lost))

    def _asked(self, process: int, ask: PermitAsk, back: float, is_answer_lost: bool) -> None:
        if self._ledger is None or process in self._cut_off:
            self.at(self.now + back, lambda: self._failed(process))
            return
        answer = self._ledger.answer(f"process {process}", ask)
        if is_answer_lost:
            self.at(self.now + CALL_TIMEOUT_S, lambda: self._failed(process))
        else:
            self.at(self.now + back, lambda: self._answered(process, answer))

    def _answered(self, process: int, answer: PermitAnswer) -> None:
        self._buckets[process].answered(self.now, answer)
        self._wake(process)

    def _failed(self, process: int) -> None:
        self._buckets[process].failed()
        self._wake(process)

    def _wake(self, process: int) -> None:
        waiting, self._waiting[process] = self._waiting[process], deque()
        for _ in waiting:
            self._take(process, is_new=True)
