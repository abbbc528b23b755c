"""Whether to encode a body, and how: the coding that is expected to gain the most time, if any gains.

    gain = bytes saved / LINK_BYTES_PER_MS - (milliseconds to encode + OVERHEAD_MS) × price
    price = (1 + lag / SERVICE_MS)²

The first term is the time that the client does not wait for bytes. The second is what the others wait: in a queue with
one server, service time s and utilisation ρ, the mean time in the system is s / (1 - ρ), so each millisecond more of
service costs everybody 1 / (1 - ρ)² of it. The loop's lag is the wait of that queue, sρ / (1 - ρ), hence
1 / (1 - ρ) = 1 + lag / s. Source: Kleinrock, Queueing Systems I (1975), 3.2, M/M/1.

    a page of 10 KB in zstd 1:   saves 8,460 bytes, 6.8 ms, and takes 0.05 ms: pays up to a price of 135
    the same in gzip 6, not 1:   saves 211 bytes more, 0.17 ms, for 0.04 to 0.09 ms: up to a price of 2 to 4
    100 KB in gzip 6, not 1:     saves 2,862 bytes more, 2.3 ms, for 0.9 ms: up to a price of 2.6, a lag of 0.3 ms

So levels fall first. The formula is about clients behind a link of that speed: one that is near gains nothing from
fewer bytes and waits for the rest of the queue. For its sake a body gets a tenth of a request's time at most once the
loop is late at all, and nothing is encoded from BUSY_LAG_MS on. The lag is an average of a second in which each sample
counts for 2.5 ms at most (`LoopLag.steady_s`): a burst is noticed late, and a single pause, which is no queue, keeps
bodies as they are for a sample or two and not for a second.

In traces with one loop, random arrivals and nothing but pages of 10 KB, the median of all requests against that without
compression was, for clients that are near and behind the link (the traces of `test_policy.py`, the middle of three):

    utilisation     0.6               0.8               0.9               0.95
    gzip, br, zstd  ×1.07 and ×0.96   ×1.02 and ×0.99   ×1.02 and ×1.00   ×1.03 and ×1.00
    gzip alone      ×1.03 and ×1.00   ×1.02 and ×1.00   ×1.06 and ×1.01   ×1.08 and ×1.02

With BUSY_LAG_MS at 1 the first line was ×1.19 and ×0.35 at 0.6, ×1.15 and ×0.94 at 0.8; at 2 ×1.64 and ×0.45 at 0.8.
At 0.1 to 0.4 the first line is ×1.16 and ×0.22 to ×0.27: a near client waits 0.1 ms longer, and a far one 7 ms less.

With a pause of 28 ms once a second on average, 94 % of pages are encoded at a utilisation of 0.1 and 65 % at 0.4. By
the plain average, with BUSY_LAG_MS at 0.75, it was 80 % and 54 %, and the busy half of the table the same; at 0.5,
without pauses, it encoded 80 % where this encodes 60 %. Rejected: this with BUSY_LAG_MS at 0.6, where the first late
sample of a burst stops nothing: at 0.95, on seven other traces, ×1.10 instead of ×1.05. The mean of the last ten
samples without the highest, ×1.15 at 0.7, and their median, ×1.23: of a queue that is there, both leave out what tells
of it. The share of time that the loop is busy does not see that others have the processor.

Every TRY_EVERY-th body of a route is encoded in whatever was seen least, while the loop is idle: what is learnt of a
route can be corrected in no other way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache

from serve_app.compression.accept import Accepted
from serve_app.compression.coding import CODINGS, Coding
from serve_app.compression.learnt import Expected, Learnt

BYTES_MIN = 1024
"""Smaller bodies stay as they are: with their headers they are one packet of 1,460 bytes anyhow."""
LINK_BYTES_PER_MS = 1250.0
"""10 Mbit/s, what one TCP connection with a window of 64 KB carries over 50 ms."""
OVERHEAD_MS = 0.03
"""Of an encoded body whatever its size: to decide took 11 µs with seven codings, the rest with its headers 12 µs."""
SERVICE_MS = 0.48
"""The loop's time for a request: two processes took 4,170 payments/s."""
BUSY_LAG_MS = 0.5
"""A utilisation of 0.51 by the formula above."""
IDLE_LAG_MS = 0.25
CHEAP_MS = SERVICE_MS / 10
"""Of a body, once the lag is above IDLE_LAG_MS: 25 KB in zstd 1, 14 KB in br 1, 7 KB in gzip 1."""
TRY_EVERY = 64
TRY_MS_MAX = 1.0
OFFLOAD_MS = 0.5
"""Work that is expected to take longer goes to a thread: 290 KB in zstd 1, 195 KB in br 1, 98 KB in gzip 1.

Going there and back took 0.1 ms at the median and 1 to 2 ms at the 99th percentile, so that less is quicker done
here; and a request is held up by no more than it is by another. zlib, brotli and zstd ran without the interpreter's
lock: the loop made thousands of turns meanwhile.
"""


_Option = tuple[Coding, Expected]


class Refusal(StrEnum):
    """Why a body that could have been encoded was not."""

    SMALL = "small"
    BUSY = "busy"
    NO_GAIN = "no_gain"


class Policy:
    """Chooses codings by what it has learnt. Knows no clock: it is told what was measured."""

    def __init__(self) -> None:
        self._learnt = Learnt()
        self._decisions: dict[str, int] = {}

    def decide(
        self, route: str, size: int, accepted: Accepted, lag_ms: float, *, thread_free: bool
    ) -> Coding | Refusal:
        """Return the coding for a body of that size, of those that are accepted, or why there is none.

        `lag_ms` is what the loop is late beyond what it is when idle. Without `thread_free`, nothing is chosen that
        would go to the thread.
        """
        if not accepted.needs_coding:
            if size < BYTES_MIN:
                return Refusal.SMALL
            if lag_ms >= BUSY_LAG_MS:
                return Refusal.BUSY
        options = self._learnt.expected_of(route, _codings(accepted), size)
        if accepted.needs_coding:
            return min(options, key=_ms)[0]
        ms_max = _ms_max(lag_ms, thread_free)
        options = [option for option in options if option[1].ms <= ms_max]
        if not options:
            return Refusal.BUSY
        tried = self._to_try(route, options) if lag_ms <= IDLE_LAG_MS else None
        return tried or _best(size, options, lag_ms)

    def goes_to_thread(self, route: str, coding: Coding, size: int) -> bool:
        """Whether encoding so many bytes would keep the loop too long."""
        return self._learnt.expected(route, coding, size).ms > OFFLOAD_MS

    def observe(self, route: str, coding: Coding, size: int, bytes_out: int, took_ms: float) -> None:
        """Learn from a body that was encoded."""
        self._learnt.observe(route, coding, size, Expected(bytes_out, took_ms))

    def _to_try(self, route: str, options: Iterable[_Option]) -> Coding | None:
        """Return the coding that was seen least, where it is time to try; None at other times."""
        count = self._decisions[route] = self._decisions.get(route, 0) + 1
        if count % TRY_EVERY:
            return None
        codings = [coding for coding, expected in options if expected.ms <= TRY_MS_MAX]
        return min(codings, key=lambda coding: self._learnt.seen(route, coding), default=None)


def price(lag_ms: float) -> float:
    """Return what a millisecond on the loop costs all who wait for it, in milliseconds."""
    return (1.0 + lag_ms / SERVICE_MS) ** 2


def _ms_max(lag_ms: float, thread_free: bool) -> float:
    """Return the milliseconds that a body may take."""
    if lag_ms > IDLE_LAG_MS:
        return CHEAP_MS
    return math.inf if thread_free else OFFLOAD_MS


def _best(size: int, options: Iterable[_Option], lag_ms: float) -> Coding | Refusal:
    """Return the coding that gains most, why there is none where none gains."""
    cost = price(lag_ms)
    best, best_gain_ms = None, 0.0
    for coding, expected in options:
        gain_ms = (size - expected.bytes_out) / LINK_BYTES_PER_MS - (expected.ms + OVERHEAD_MS) * cost
        if gain_ms > best_gain_ms:
            best, best_gain_ms = coding, gain_ms
    return Refusal.NO_GAIN if best is None else best


def _ms(option: _Option) -> float:
    return option[1].ms


@lru_cache
def _codings(accepted: Accepted) -> tuple[Coding, ...]:
    return tuple(coding for codec in accepted.codecs for coding in CODINGS[codec])
