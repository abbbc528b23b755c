"""arq: `worker`, or what the feeder takes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from arq import create_pool, func  # type: ignore[import-not-found]
from arq.connections import RedisSettings  # type: ignore[import-not-found]
from arq.worker import Worker  # type: ignore[import-not-found]

from tests.bench.tasks.feeder import main
from tests.bench.tasks.marks import mark

settings = RedisSettings.from_dsn(os.environ["EASYPAY_BENCH_REDIS"])


async def noop(_context: dict[str, Any], enqueued_at: float) -> None:
    """Do nothing."""
    mark(enqueued_at)


async def feed() -> None:
    """Enqueue; it has no way to do so in batches."""
    pool = await create_pool(settings)

    async def send(count: int) -> None:
        await asyncio.gather(*(pool.enqueue_job("noop", time.time()) for _ in range(count)))

    await main(send)
    await pool.close()


async def work() -> None:
    """Run what there is. Results are not kept, and it looks a hundred times a second."""
    worker = Worker(
        [func(noop, name="noop")], redis_settings=settings, max_jobs=100, keep_result=0, poll_delay=0.01,
        queue_read_limit=500, handle_signals=False,
    )  # fmt: skip
    await worker.async_run()


asyncio.run(work() if sys.argv[1] == "worker" else feed())
