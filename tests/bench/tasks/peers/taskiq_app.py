"""taskiq on streams of Redis, which it acknowledges: what the feeder takes. Workers run by its own command line."""

from __future__ import annotations

import asyncio
import os
import time

from taskiq_redis import RedisStreamBroker  # type: ignore[import-not-found]

from tests.bench.tasks.feeder import main
from tests.bench.tasks.marks import mark

broker = RedisStreamBroker(os.environ["EASYPAY_BENCH_REDIS"], xread_count=100)


@broker.task(task_name="noop")  # type: ignore[untyped-decorator]
async def noop(enqueued_at: float) -> None:
    """Do nothing."""
    mark(enqueued_at)


async def feed() -> None:
    """Enqueue; it has no way to do so in batches."""
    await broker.startup()

    async def send(count: int) -> None:
        await asyncio.gather(*(noop.kiq(time.time()) for _ in range(count)))

    await main(send)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(feed())
