"""What a limit costs a request, in microseconds of processor time: `python -m tests.bench.limits`.

The best of several rounds: on a busy machine the others measure the neighbours.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from starlette.types import Message, Receive, Scope, Send

from actors.cache.limits.ledger import PermitLedger
from actors.cache.limits.limiter import Limiter
from actors.cache.limits.messages import PermitAnswer, PermitAsk
from serve_app.middleware.authentication import Caller
from serve_app.middleware.rate_limit import RateLimitHeaders, RateLimits
from serve_app.problems import Problem

_ROUNDS = 9
_PER_MINUTE = 60_000_000
_CALLER = Caller(UUID(int=1), UUID(int=2), False, frozenset(), None)


class _Shard:
    """A shard in this process; what it is asked and answers is pickled as on a channel."""

    def __init__(self) -> None:
        self._ledger = PermitLedger(clock=time.monotonic, life="1", is_first=True)
        self.asked = 0

    async def permits(self, asks: Sequence[PermitAsk]) -> Sequence[PermitAnswer]:
        """Ask."""
        self.asked += len(asks)
        received: Sequence[PermitAsk] = pickle.loads(pickle.dumps(asks, protocol=5))
        answers = [self._ledger.answer("a", ask) for ask in received]
        await asyncio.sleep(0)
        told: Sequence[PermitAnswer] = pickle.loads(pickle.dumps(answers, protocol=5))
        return told


async def _best_us(work: Callable[[], Awaitable[None]], count: int) -> float:
    """Return the least time that one of so many took."""
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        for number in range(count):
            await work()
            if not number % 50:
                await asyncio.sleep(0)
        best = min(best, time.process_time() - began)
    return best / count * 1e6


async def _admitted() -> float:
    shard = _Shard()
    limits = RateLimits(Limiter(lambda _: shard, processes=2), merchant_per_minute=_PER_MINUTE, unknown_per_minute=0)
    took = await _best_us(lambda: limits.admit({}, _CALLER, is_sensitive=False), 20_000)
    await limits.close()
    return took


async def _refused() -> float:
    limits = RateLimits(Limiter(None, processes=1), merchant_per_minute=1, unknown_per_minute=0)

    async def refuse() -> None:
        try:
            await limits.admit({}, _CALLER, is_sensitive=False)
        except Problem:
            return

    took = await _best_us(refuse, 5_000)
    await limits.close()
    return took


async def _headers() -> float:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        return

    wrapped = RateLimitHeaders(answer)
    noted = ((b"ratelimit", b"x"), (b"ratelimit-policy", b"y"))
    bare_us, wrapped_us = [
        await _best_us(partial(app, {"type": "http", "rate_limit_headers": noted}, receive, send), 10_000)
        for app in (answer, wrapped)
    ]
    return wrapped_us - bare_us


async def _question() -> float:
    """Return what a question costs at the shard, with thirty spends in six groups."""
    shard, numbers = _Shard(), iter(range(10**9))

    async def ask() -> None:
        number = next(numbers)
        spent = tuple((0.6 - 0.1 * group, 5) for group in range(6))
        ask = PermitAsk(f"limit:{number % 50}", _PER_MINUTE, number, 30 * number, spent, 60, 0, 60)
        await shard.permits([ask])

    return await _best_us(ask, 5_000)


async def _main() -> None:
    print(f"a request with a permit at hand, its share of questions included  {await _admitted():6.2f} us")
    print(f"its headers                                                       {await _headers():6.2f} us")
    print(f"a request that is refused                                         {await _refused():6.2f} us")
    print(f"a question to the shard, pickled both ways, without its call      {await _question():6.2f} us")


if __name__ == "__main__":
    asyncio.run(_main())
