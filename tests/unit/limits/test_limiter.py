"""A process's limits: decided at hand, asked for in batches, and never waited for longer than a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps

import pytest

from actors.cache.limits.limiter import CHECK_EVERY_S, Limit, Limiter
from actors.cache.limits.messages import ASKS_MAX, LEASE_S, WINDOW_S
from actors.runtime.errors import Overloaded
from tests.unit.cache.virtual_time import run_virtually
from tests.unit.limits.shards import LocalShard, now, open_ledger

_SMALL = Limit("limit:small", 5)
_LARGE = Limit("limit:large", 6000)


def _virtually(test: Callable[[], Coroutine[object, object, None]]) -> Callable[[], None]:
    """Run a test in virtual time."""

    @wraps(test)
    def run() -> None:
        run_virtually(test())

    del run.__wrapped__
    return run


def _limiter(shard: LocalShard, processes: int) -> Limiter:
    return Limiter(lambda _: shard, processes=processes, clock=now)


async def _take(limiter: Limiter, limit: Limit, count: int) -> int:
    """Take so many at once; return how many were had."""
    return sum(verdict.admitted for verdict in await asyncio.gather(*(limiter.take(limit) for _ in range(count))))


@_virtually
async def test_a_small_limit_is_exact_over_processes() -> None:
    """Just so many of those that come at once, wherever they come, and as many again a window later."""
    ledger = open_ledger()
    limiters = [_limiter(LocalShard(ledger, name), 3) for name in "abc"]
    for _ in range(3):
        had = await asyncio.gather(*(_take(limiter, _SMALL, 4) for limiter in limiters))
        assert sum(had) == 5
        await asyncio.sleep(WINDOW_S / 2)
        assert await _take(limiters[0], _SMALL, 3) == 0
        await asyncio.sleep(WINDOW_S / 2 + 0.01)


@_virtually
async def test_most_requests_ask_nobody() -> None:
    """A busy key costs a question for tens of requests, and a request that has a permit at hand does not wait."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=2, clock=now)
    waited = 0
    for _ in range(3000):
        began = now()
        assert (await limiter.take(_LARGE)).admitted
        waited += now() > began
        await asyncio.sleep(0.012)
    assert sum(map(len, shard.batches)) < 3000 / 40
    assert waited < 5


@_virtually
async def test_questions_of_many_keys_share_a_call() -> None:
    """What comes while a call is out goes with the next, up to a bound."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=1, clock=now)
    await asyncio.gather(*(limiter.take(Limit(f"limit:{number}", 10)) for number in range(2 * ASKS_MAX + 7)))
    assert [len(batch) for batch in shard.batches] == [ASKS_MAX, ASKS_MAX, 7]


@_virtually
async def test_a_shard_that_is_away_makes_nobody_wait_for_it_twice() -> None:
    """The first request waits for the call to fail; then the static share is had at once, and no more."""
    shard = LocalShard(open_ledger(), delay_s=0.3)
    shard.cut()
    limiter = Limiter(lambda _: shard, processes=4, clock=now)
    limit = Limit("limit:a", 400)
    assert (await limiter.take(limit)).admitted
    began = now()
    assert began == pytest.approx(0.3)
    assert await _take(limiter, limit, 500) == 99
    assert now() == began
    refused = await limiter.take(limit)
    assert refused.standings[0].remaining == 0
    assert refused.retry_in_s == pytest.approx(WINDOW_S, abs=1.1)


@_virtually
async def test_it_returns_to_a_shard_that_is_back() -> None:
    """Within a check and a call; what was spent meanwhile counts there."""
    ledger = open_ledger()
    shard = LocalShard(ledger)
    shard.cut()
    limiter = Limiter(lambda _: shard, processes=4, clock=now)
    limit = Limit("limit:a", 400)
    assert await _take(limiter, limit, 500) == 100
    shard.fault = None
    await asyncio.sleep(CHECK_EVERY_S + 0.1)
    assert await _take(limiter, limit, 500) == 300


@_virtually
async def test_one_slow_call_costs_a_busy_process_no_second() -> None:
    """One that has spent more than its static share is refused, and asks again while requests come."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=4, clock=now)
    limit = Limit("limit:a", 400)
    assert await _take(limiter, limit, 200) == 200
    shard.cut()
    assert await _take(limiter, limit, 1) == 0
    shard.fault = None
    await asyncio.sleep(0.25)
    assert await _take(limiter, limit, 1) == 0
    await asyncio.sleep(0.01)
    assert await _take(limiter, limit, 300) == 200


@_virtually
async def test_a_defect_of_a_call_is_told_and_costs_no_request() -> None:
    """It is logged, and the static share holds."""
    shard = LocalShard(open_ledger())
    shard.fault = ZeroDivisionError()
    limiter = Limiter(lambda _: shard, processes=1, clock=now)
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[assignment, method-assign]
    logger = logging.getLogger("actors.cache.limits.limiter")
    logger.addHandler(handler)
    try:
        assert await _take(limiter, _SMALL, 9) == 5
    finally:
        logger.removeHandler(handler)
    assert [record.exc_info[0] for record in records if record.exc_info] == [ZeroDivisionError]


@_virtually
async def test_a_request_that_gives_up_waiting_takes_no_permit() -> None:
    """Its permit is given back, and others have it."""
    shard = LocalShard(open_ledger(), delay_s=0.1)
    limiter = Limiter(lambda _: shard, processes=1, clock=now)
    given_up = asyncio.ensure_future(limiter.take(_SMALL))
    await asyncio.sleep(0.01)
    given_up.cancel()
    await asyncio.sleep(0.2)
    assert await _take(limiter, _SMALL, 9) == 5


@_virtually
async def test_of_two_limits_both_are_taken_or_none() -> None:
    """Also where one of the shards has to be asked first."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=1, clock=now)
    narrow, wide = Limit("limit:narrow", 3), Limit("limit:wide", 8)
    verdicts = [await limiter.take(narrow, wide) for _ in range(6)]
    assert [verdict.admitted for verdict in verdicts] == [True] * 3 + [False] * 3
    assert await _take(limiter, wide, 9) == 5
    await asyncio.sleep(WINDOW_S + 1)
    assert await _take(limiter, wide, 9) == 8
    assert not (await limiter.take(narrow, wide)).admitted
    assert await _take(limiter, narrow, 9) == 3


@_virtually
async def test_keys_that_are_not_used_are_forgotten() -> None:
    """After a window and a lease; until then there is room for so many and no more."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=1, clock=now, keys_max=2)
    await limiter.take(Limit("limit:1", 9))
    await limiter.take(Limit("limit:2", 9))
    with pytest.raises(Overloaded):
        await limiter.take(Limit("limit:3", 9))
    await asyncio.sleep(WINDOW_S + LEASE_S + 2 * CHECK_EVERY_S)
    assert len(limiter) == 0
    assert (await limiter.take(Limit("limit:3", 9))).admitted


@_virtually
async def test_a_limit_that_is_changed_holds_from_then_on() -> None:
    """What was spent counts against the new one."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=1, clock=now)
    assert await _take(limiter, Limit("limit:a", 10), 4) == 4
    assert await _take(limiter, Limit("limit:a", 6), 9) == 2
    await asyncio.sleep(1)
    assert await _take(limiter, Limit("limit:a", 20), 30) == 14


@_virtually
async def test_it_ends_in_the_middle_of_a_question() -> None:
    """Whoever waits hears of it at once, and a shard that is silent holds the end up for a second."""
    shard = LocalShard(open_ledger(), delay_s=5)
    limiter = Limiter(lambda _: shard, processes=1, clock=now)
    taking = asyncio.ensure_future(limiter.take(_SMALL))
    await asyncio.sleep(0.01)
    closing = asyncio.ensure_future(limiter.close())
    assert (await taking).admitted
    assert now() < 0.02
    await closing
    assert now() < 1.1
    assert limiter.counts.returned == 0


@_virtually
async def test_what_a_process_has_left_is_had_by_another_when_it_ends() -> None:
    """All of the limit, at once: what was spent counts, what was not is back."""
    ledger = open_ledger()
    ending, other = (_limiter(LocalShard(ledger, name), 2) for name in "ab")
    assert await _take(ending, _LARGE, 40) == 40
    await asyncio.sleep(0.01)
    await ending.close()
    assert ending.counts.returned > 0
    assert await _take(other, _LARGE, 7000) == _LARGE.per_minute - 40


@_virtually
async def test_without_giving_back_the_limit_is_short_of_it() -> None:
    """For a window: permits of a process that falls silent are taken for spent."""
    ledger = open_ledger()
    silent, other = (_limiter(LocalShard(ledger, name), 2) for name in "ab")
    assert await _take(silent, _LARGE, 40) == 40
    await asyncio.sleep(0.01)
    assert await _take(other, _LARGE, 7000) < _LARGE.per_minute - 40


@_virtually
async def test_after_the_end_the_static_share_is_left() -> None:
    """Nobody waits for a shard that is not asked any more."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=4, clock=now)
    assert await _take(limiter, _SMALL, 1) == 1
    await limiter.close()
    await limiter.close()
    calls = len(shard.batches)
    assert await _take(limiter, Limit("limit:other", 400), 500) == 100
    assert len(shard.batches) == calls


@_virtually
async def test_a_grant_that_is_on_its_way_at_the_end_is_given_back_too() -> None:
    """By the higher number of what is told last; what the static share gave instead is told with that."""
    ledger = open_ledger()
    shard = LocalShard(ledger, delay_s=0.05)
    limiter = Limiter(lambda _: shard, processes=2, clock=now)
    taking = asyncio.ensure_future(limiter.take(_LARGE))
    await asyncio.sleep(0.01)
    asked = shard.batches[0]
    await limiter.close()
    assert (await taking).admitted
    # The question itself arrives late: it is overtaken, and nothing is granted.
    assert [ledger.answer("a", ask).granted for ask in asked] == [0]
    assert await _take(_limiter(LocalShard(ledger, "b"), 2), _LARGE, 7000) == _LARGE.per_minute - 1


@_virtually
async def test_minor_keys_have_a_bound_of_their_own() -> None:
    """Past it there is no room for another one, for others there is, and room comes back."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=1, clock=now, keys_max=2, minor_keys_max=2)
    minor = [Limit(f"limit:{number}", 9, is_minor=True) for number in range(3)]
    for limit in minor[:2]:
        await limiter.take(limit)
    assert [limiter.has_room(limit) for limit in minor] == [True, True, False]
    with pytest.raises(Overloaded):
        await limiter.take(minor[2])
    for number in range(2):
        await limiter.take(Limit(f"limit:other:{number}", 9))
    await asyncio.sleep(WINDOW_S + LEASE_S + 2 * CHECK_EVERY_S)
    assert limiter.has_room(minor[2])


@_virtually
async def test_what_is_decided_without_the_shard_is_counted() -> None:
    """Questions by whether they were answered, and what the static share decided."""
    shard = LocalShard(open_ledger())
    limiter = Limiter(lambda _: shard, processes=4, clock=now)
    assert await _take(limiter, _SMALL, 1) == 1
    assert (limiter.counts.answered, limiter.counts.unanswered, limiter.counts.static_decisions) == (1, 0, 0)
    shard.cut()
    limit = Limit("limit:a", 8)
    assert await _take(limiter, limit, 5) == 2
    assert (limiter.counts.answered, limiter.counts.unanswered, limiter.counts.static_decisions) == (1, 1, 5)
