"""Clients that do what refusals ask of them: wait as long as Retry-After says, and repeat with the same key."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.bench.overload.answer import Outcome
from tests.bench.overload.pool import Pool
from tests.bench.overload.stream import Merchant

# What a client waits after an answer that says nothing about it.
UNTOLD_WAIT_S = 1.0
# A little more than was asked, so that all who were refused together do not return together.
JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Polite:
    """Describe the clients: so many, the first at ``start_s`` and the others evenly over ``spread_s``, each with one
    payment and ``patience_s`` for it."""

    merchant: Merchant
    clients: int
    start_s: float
    spread_s: float
    patience_s: float
    seed: int = 1


@dataclass(slots=True)
class PoliteTally:
    """Hold how often each client that got through had tried and how long it took, and what all were told."""

    tries: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


def start_polite(polite: Polite, pool: ProcessPoolExecutor) -> Future[PoliteTally]:
    """Let them begin in a process of the pool."""
    return pool.submit(_run, polite)


def _run(polite: Polite) -> PoliteTally:
    return asyncio.run(_drive(polite))


async def _drive(polite: Polite) -> PoliteTally:
    address = urlsplit(polite.merchant.url)
    assert address.hostname is not None
    assert address.port is not None
    pool = Pool(address.hostname, address.port, connections_max=polite.clients)
    tally = PoliteTally()
    draw = random.Random(polite.seed)
    requests = polite.merchant.create().each(f"polite-{uuid.uuid4().hex[:12]}")
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(polite.clients):
                start_s = polite.start_s + polite.spread_s * number / polite.clients
                group.create_task(_client(pool, next(requests), start_s, polite.patience_s, draw, tally))
    finally:
        pool.close()
    return tally


async def _client(
    pool: Pool, request: bytes, start_s: float, patience_s: float, draw: random.Random, tally: PoliteTally
) -> None:
    await asyncio.sleep(start_s)
    began_at = time.perf_counter()
    tries = 0
    while time.perf_counter() - began_at < patience_s:
        tries += 1
        outcome, answer, _ = await pool.ask(request)
        tally.answers[str(answer.status) if answer else outcome.value] += 1
        if outcome is Outcome.GOOD:
            tally.tries.append(tries)
            tally.took_s.append(time.perf_counter() - began_at)
            return
        told_s = answer.retry_after_s if answer else None
        await asyncio.sleep((UNTOLD_WAIT_S if told_s is None else told_s) * (1 + JITTER * draw.random()))


def middle(values: Iterable[float]) -> float:
    """Return the upper median, 0 where there is none."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0
