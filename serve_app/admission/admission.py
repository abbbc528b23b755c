"""Lets requests in, has them wait and wakes them: the event loop around the gate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from actors.runtime.clock import Clock
from actors.runtime.errors import DeadlineExceeded, Overloaded
from actors.runtime.tallies import Series, Tallies
from serve_app.admission.gate import Entry, Gate, Reason, Refusal, State
from serve_app.admission.resource import Resource
from serve_app.admission.ticket import Ticket
from serve_app.admission.vegas import FixedLimit, Limit, VegasLimit
from serve_app.admission.work import Work

GATEWAY = "gateway"
TEST, LIVE = "processor_test", "processor_live"
_GATEWAY_LEAST = 32
"""Fewer at once would save no time and lose the batches: requests that run together share statements and commits."""
_PROCESSOR_LEAST = 4
_MOST = 256
_INITIAL = 64
_EXPECTED_WORK_S, _EXPECTED_CHARGE_S = 0.01, 0.2
_LATE_TURNS = 4
"""Turns of the loop that a call of a processor takes at least: each of them may come late."""
_SAME_MOMENT_S = 1e-3

REQUESTS = "admission_requests"
"""The counter of requests by their work and what became of them: admitted, waited (before that) or why refused."""


def _series(work: Work, outcome: str) -> Series:
    return Series(REQUESTS, (work.name.lower(), outcome))


_ADMITTED = {work: _series(work, "admitted") for work in Work}
_WAITED = {work: _series(work, "waited") for work in Work}
_REFUSED = {(work, reason): _series(work, f"refused_{reason.value}") for work in Work for reason in Reason}


def requests_max(queue_max: int, workers: int) -> int:
    """Return how many requests a process has at most that are not refused: waiting, at work, and at the processors."""
    return queue_max + 3 * (workers or _MOST)


class ClientGone(Exception):
    """The client went away while its request waited; nothing was done, and nobody is there to be told."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is at the gate now: who waits, and by resource the places that are taken and that there are."""

    waiting: int
    in_flight: dict[str, int]
    limits: dict[str, int]
    mean_hold_s: dict[str, float]


class Demand(NamedTuple):
    """Requests since the process started, those of them that were let in, and how many there are at the moment.

    ``in_flight`` are those that wait, and the places that the others hold: two each until their processor is called.
    """

    arrived: float
    admitted: float
    in_flight: float


class Admission:
    """The gate of one process."""

    def __init__(
        self,
        gate: Gate,
        resources: Iterable[Resource],
        clock: Clock,
        late_s: Callable[[], float],
        waited: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`late_s` says how late the loop runs what is due, on average of late; `waited` is told how many seconds each
        request waited that had to and was let in."""
        self._tell_wait = waited
        self._gate = gate
        self._resources = tuple(resources)
        self._clock = clock
        self._late_s = late_s
        self._waiting: dict[Entry, asyncio.Future[None]] = {}
        self._next_start: asyncio.TimerHandle | None = None
        self._counts: Counter[Series] = Counter()
        self._crest = 0

    @classmethod
    def of(
        cls,
        clock: Clock,
        late_s: Callable[[], float],
        *,
        queue_max: int,
        workers: int,
        waited: Callable[[float], None] = lambda _: None,
    ) -> Admission:
        """Return the gate of a gateway. `workers` of 0: the limits are found out; else they are that many."""

        def limit(least: int) -> Limit:
            return FixedLimit(workers) if workers else VegasLimit(initial=_INITIAL, least=least, most=_MOST)

        gateway = Resource(GATEWAY, limit(_GATEWAY_LEAST), expected_s=_EXPECTED_WORK_S)
        processors = {
            name: Resource(name, limit(_PROCESSOR_LEAST), expected_s=_EXPECTED_CHARGE_S) for name in (TEST, LIVE)
        }
        gate = Gate(gateway, processors, waiting_max=queue_max)
        return cls(gate, (gateway, *processors.values()), clock, late_s, waited)

    async def enter(
        self,
        merchant: Hashable,
        kind: Hashable,
        work: Work,
        *,
        live: bool,
        calls_processor: bool,
        deadline: float,
        hung_up: Callable[[], Awaitable[None]] | None = None,
    ) -> Ticket:
        """Return a ticket once it is this request's turn; `kind` tells apart what takes different times.

        `deadline` is on the clock's monotonic scale. `hung_up` returns when the client is gone.

        Raises:
            Overloaded: it would wait too long, or did; nothing was done.
            DeadlineExceeded: its time was over before its turn came; nothing was done.
            ClientGone: nobody is there any more; nothing was done.
        """
        processor = (LIVE if live else TEST) if calls_processor else None
        now = self._clock.monotonic()
        outcome, evicted = self._gate.arrive(
            merchant, kind, work.priority(live=live), processor, now, left_s=deadline - now
        )
        self._crest = max(self._crest, self._gate.waiting)
        if evicted is not None:
            self._refuse(evicted, Reason.OUTRANKED)
        if isinstance(outcome, Refusal):
            self._counts[_REFUSED[work, outcome.reason]] += 1
            raise Overloaded(GATEWAY, outcome.retry_in_s)
        if outcome.state is State.WAITING:
            self._counts[_WAITED[work]] += 1
            await self._turn_of(outcome, deadline, hung_up)
            self._tell_wait(self._clock.monotonic() - now)
        self._counts[_ADMITTED[work]] += 1
        return Ticket(self, outcome, deadline)

    def take_crest(self) -> int:
        """Return how many waited for their turn at once, at most, since this was called last."""
        crest, self._crest = self._crest, self._gate.waiting
        return crest

    def figures(self) -> Figures:
        """Return what there is at this moment."""
        return Figures(
            self._gate.waiting,
            {resource.name: resource.in_flight for resource in self._resources},
            {resource.name: resource.limit.current for resource in self._resources},
            {resource.name: resource.mean_hold_s for resource in self._resources},
        )

    def demand(self) -> Demand:
        """Return how many requests there were and are."""
        admitted = sum(self._counts[series] for series in _ADMITTED.values())
        refused = sum(self._counts[series] for series in _REFUSED.values())
        at_work = sum(resource.in_flight for resource in self._resources)
        return Demand(admitted + refused + self._gate.waiting, admitted, at_work + self._gate.waiting)

    def tallies(self) -> Tallies:
        """Return what became of requests since the process started."""
        return self._counts

    def away(self, entry: Entry) -> None:
        """Give the gateway's place to others while the processor works."""
        if entry.state is State.WORKING and entry.processor is not None:
            self._wake(self._gate.away(entry, self._clock.monotonic()))

    def back(self, entry: Entry) -> None:
        """Come back from the processor."""
        if entry.state is State.AWAY:
            self._wake(self._gate.back(entry, self._clock.monotonic(), _LATE_TURNS * self._late_s()))

    def leave(self, entry: Entry, *, counts: bool) -> None:
        """Give everything back."""
        self._wake(self._gate.leave(entry, self._clock.monotonic(), counts=counts))

    async def _turn_of(self, entry: Entry, deadline: float, hung_up: Callable[[], Awaitable[None]] | None) -> None:
        loop = asyncio.get_running_loop()
        turn = self._waiting[entry] = loop.create_future()
        timer = loop.call_later(entry.give_up_at - self._clock.monotonic(), self._time_is_over, entry, deadline)
        watch = loop.create_task(self._watch(turn, hung_up)) if hung_up is not None else None
        self._mind_next_start()
        try:
            await turn
        except BaseException:
            # Cancelled, gone or refused. Where its turn came in the same moment, the place goes to the next.
            self.leave(entry, counts=False)
            raise
        finally:
            timer.cancel()
            self._waiting.pop(entry, None)
            if watch is not None:
                watch.cancel()
                # Whoever reads the body next must be alone in it.
                await asyncio.wait({watch})

    async def _watch(self, turn: asyncio.Future[None], hung_up: Callable[[], Awaitable[None]]) -> None:
        await hung_up()
        if not turn.done():
            turn.set_exception(ClientGone())

    def _time_is_over(self, entry: Entry, deadline: float) -> None:
        turn = self._waiting.get(entry)
        if entry.state is not State.WAITING or turn is None or turn.done():
            return
        if entry.give_up_at < deadline - _SAME_MOMENT_S:
            self._refuse(entry, Reason.LATE)
            return
        self._gate.withdraw(entry)
        turn.set_exception(DeadlineExceeded("waiting for its turn"))

    def _refuse(self, entry: Entry, reason: Reason) -> None:
        refusal = self._gate.give_up(entry, self._clock.monotonic(), reason)
        self._counts[_REFUSED[Work(entry.priority % len(Work)), reason]] += 1
        turn = self._waiting.get(entry)
        if turn is not None and not turn.done():
            turn.set_exception(Overloaded(GATEWAY, refusal.retry_in_s))

    def _wake(self, started: Iterable[Entry]) -> None:
        for entry in started:
            turn = self._waiting.get(entry)
            if turn is not None and not turn.done():
                turn.set_result(None)
            else:
                # Its request went away in this very moment.
                self.leave(entry, counts=False)
        self._mind_next_start()

    def _mind_next_start(self) -> None:
        """See to it that whoever may start at a certain time does, though nothing happens until then."""
        if self._next_start is not None:
            return
        start_at = self._gate.next_start_at()
        if start_at is not None:
            delay_s = max(0.0, start_at - self._clock.monotonic())
            self._next_start = asyncio.get_running_loop().call_later(delay_s, self._start_next)

    def _start_next(self) -> None:
        self._next_start = None
        self._wake(self._gate.fill(self._clock.monotonic()))
