"""An open load: requests are sent when they are due, whether or not those before were answered.

A closed load, whose clients wait, would ask less of a gateway the slower it gets, and never find where it breaks.
Source: Schroeder, Wierman, Harchol-Balter, Open Versus Closed: A Cautionary Tale, NSDI 2006.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from actors.runtime.histogram import Histogram
from cluster.trial.wire import Broken

ANSWER_WITHIN_S = 10.0


class Outcome(StrEnum):
    """How a request ended."""

    PAID = "paid"
    PENDING = "pending"  # 202: taken, the processor's answer is not known yet
    REFUSED = "refused"  # 429, 503
    FAILED = "failed"  # any other status
    BROKEN = "broken"  # no connection, or lost before the answer
    UNANSWERED = "unanswered"
    UNSENT = "unsent"  # as many were on their way as this program may have


def outcome_of(status: int) -> Outcome:
    """Return what an answer to a payment counts as."""
    if status == 202:
        return Outcome.PENDING
    if 200 <= status < 300:
        return Outcome.PAID
    return Outcome.REFUSED if status in (429, 503) else Outcome.FAILED


@dataclass(slots=True)
class Tally:
    """What became of the requests of a step. ``took`` is in seconds, of those that were paid, from when they were due:
    a request that was sent late has waited all the same."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    took: Histogram = field(default_factory=Histogram)
    paid_in_time: int = 0


async def offer(
    ask: Callable[[], Awaitable[int]], rate_per_s: float, seconds: float, *, is_exhausted: Callable[[], bool]
) -> Tally:
    """Ask so often for so long, evenly, and return what became of it once every request has ended.

    ``paid_in_time`` counts those that were paid before the load ended: what a backlog answers later is not capacity.
    """
    loop = asyncio.get_running_loop()
    tally = Tally()
    begun = loop.time()
    until = begun + seconds

    async def one(due: float) -> None:
        outcome = await _outcome(ask)
        ended = loop.time()
        tally.outcomes[outcome] += 1
        if outcome is Outcome.PAID:
            tally.took.record(ended - due)
            tally.paid_in_time += ended <= until

    async with asyncio.TaskGroup() as sending:
        for number in range(int(rate_per_s * seconds)):
            due = begun + number / rate_per_s
            # The loop is let go in any case, or a generator that is late would hear no answer.
            await asyncio.sleep(max(0.0, due - loop.time()))
            if is_exhausted():
                tally.outcomes[Outcome.UNSENT] += 1
            else:
                sending.create_task(one(due))
    return tally


async def _outcome(ask: Callable[[], Awaitable[int]]) -> Outcome:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return outcome_of(await ask())
    except TimeoutError:
        return Outcome.UNANSWERED
    except (Broken, OSError):
        return Outcome.BROKEN
