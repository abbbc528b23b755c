"""The open load: every request is sent when it is due, whatever became of those before it.

A closed load waits for answers, and so asks less of a gateway the slower that is, and forgets the requests that it
would have sent meanwhile (Gil Tene calls it coordinated omission). Here latency counts from when a request was due, and
one for which there is no connection left is counted as UNSENT, an error of the run.
"""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import uvloop

from tests.bench.overload.answer import Answer, Outcome
from tests.bench.overload.connection import Exchange
from tests.bench.overload.pool import Pool
from tests.bench.overload.schedule import merged
from tests.bench.overload.stream import Stream
from tests.bench.overload.tally import StreamTally, Tally

# A timer takes as much as sending does. Requests that are due within this are sent together.
TICK_S = 0.001
# So many are sent before answers are looked at again.
BURST_MAX = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """Describe a run. ``open_first`` connections are opened before it begins; ``rotates``: see Pool."""

    host: str
    port: int
    streams: tuple[Stream, ...]
    connections_max: int
    open_first: int = 0
    rotates: bool = False
    seed: int = 1

    def share(self, process: int, processes: int) -> Plan:
        """Return the part of one of several processes."""
        streams = tuple(
            Stream(each.name, each.request.share(process, processes), each.arrivals.share(processes))
            for each in self.streams
        )
        return replace(
            self,
            streams=streams,
            connections_max=self.connections_max // processes,
            open_first=self.open_first // processes,
            seed=self.seed * 1000 + process,
        )


class Generator:
    """Offers what a plan says, from the moment that it is made on."""

    def __init__(self, plan: Plan, pool: Pool) -> None:
        self._pool = pool
        self._arrivals = merged([stream.arrivals for stream in plan.streams], plan.seed)
        self.tally = Tally({stream.name: StreamTally() for stream in plan.streams})
        run = uuid.uuid4().hex[:12]
        self._streams: list[tuple[Iterator[bytes], StreamTally, Callable[..., None]]] = [
            (stream.request.each(f"{run}-{number}"), tally, self._recorder(tally))
            for number, stream in enumerate(plan.streams)
            for tally in (self.tally.streams[stream.name],)
        ]
        self._unfinished = 0
        self._is_over = False
        self._finished = asyncio.Event()
        self._next = next(self._arrivals, None)
        self._tick()

    async def finished(self) -> None:
        """Wait until every request has been sent and has ended."""
        await self._finished.wait()

    def _tick(self) -> None:
        sent = 0
        now_s = self._pool.now_s
        while self._next is not None and self._next[0] <= now_s and sent < BURST_MAX:
            self._send(*self._next, now_s)
            self._next = next(self._arrivals, None)
            sent += 1
        if self._next is None:
            self._is_over = True
            self._end_if_done()
            return
        wait_s = 0.0 if sent == BURST_MAX else max(TICK_S, self._next[0] - now_s)
        asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _send(self, due_s: float, number: int, now_s: float) -> None:
        requests, tally, done = self._streams[number]
        request = next(requests, None)
        if request is None:
            tally.record(Outcome.UNSENT, due_s, now_s, None, "no payment is left for it")
            return
        self.tally.late_s.record(now_s - due_s)
        self._unfinished += 1
        self._pool.send(Exchange(request, due_s, done))

    def _recorder(self, tally: StreamTally) -> Callable[[Exchange, Outcome, Answer | None, str], None]:
        def done(exchange: Exchange, outcome: Outcome, answer: Answer | None, what: str) -> None:
            tally.record(outcome, exchange.due_s, self._pool.now_s, answer, what)
            self._unfinished -= 1
            self._end_if_done()

        return done

    def _end_if_done(self) -> None:
        if self._is_over and not self._unfinished:
            self._finished.set()


def offer(plan: Plan) -> Tally:
    """Carry a plan out in this process, which should do nothing else."""
    # Everything that lives long is made by now or lives in few large objects; a collection would delay requests.
    gc.freeze()
    gc.disable()
    try:
        return uvloop.run(_offer(plan))
    finally:
        gc.enable()


async def _offer(plan: Plan) -> Tally:
    pool = Pool(plan.host, plan.port, connections_max=plan.connections_max, rotates=plan.rotates)
    await pool.open(plan.open_first)
    began_s = time.process_time()
    pool.restart_clock()
    generator = Generator(plan, pool)
    try:
        await generator.finished()
    finally:
        pool.close()
    tally = generator.tally
    tally.cpu_s = time.process_time() - began_s
    tally.opened, tally.closed_idle, tally.resent = pool.opened, pool.closed_idle, pool.resent
    return tally
