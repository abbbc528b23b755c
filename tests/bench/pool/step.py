"""A load that becomes eight times as much, and then what it was: how long callers wait, and what is leased."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from actors.pool.actor import PoolManagerActor
from actors.pool.connector import Connector
from actors.pool.lease import LeasedPool
from actors.runtime.histogram import Histogram

SERVICE_S = 0.02
RATE = 50.0
FACTOR = 8
BUDGET = 50


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the run: arrivals a second, the 99th percentile of all waits, and the size at its end."""

    rate: float
    wait_p99_s: float
    size: int
    open: int


async def step(url: str, seconds: int) -> list[Second]:
    """Run the three parts, each for so long; every use sleeps at the server, so that it costs no processor."""
    manager = PoolManagerActor("bench", lambda: url, BUDGET, name="bench-step")
    lease = LeasedPool(Connector(url), name="bench", want=BUDGET, least=1, manager=manager)
    await lease.start()
    # Come down from what it starts with first.
    await _run(lease, RATE, 30)
    seen: list[Second] = []
    for rate in (RATE, FACTOR * RATE, RATE):
        seen += await _run(lease, rate, seconds)
    await lease.stop()
    await manager.stop()
    return seen


async def _run(lease: LeasedPool, rate: float, seconds: int) -> list[Second]:
    """Let callers arrive at random times, however many wait."""
    loop = asyncio.get_running_loop()
    draw = random.Random(rate)
    seen: list[Second] = []
    running: set[asyncio.Task[None]] = set()
    next_at = loop.time()
    for _ in range(seconds):
        ends, waits = loop.time() + 1.0, Histogram()
        while next_at < ends:
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            task = loop.create_task(_use(lease, waits))
            running.add(task)
            task.add_done_callback(running.discard)
            next_at += draw.expovariate(rate)
        await asyncio.sleep(max(0.0, ends - loop.time()))
        seen.append(Second(rate, waits.quantile(0.99) or 0.0, lease.pool.size, lease.pool.open))
    await asyncio.gather(*running)
    return seen


async def _use(lease: LeasedPool, waits: Histogram) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with lease.pool.acquire(5.0, "sleep") as connection:
        waits.record(loop.time() - began)
        await connection.fetchval("SELECT pg_sleep($1)", SERVICE_S)
