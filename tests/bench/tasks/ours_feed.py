"""Feeds the gateway's scheduler."""

from __future__ import annotations

import asyncio
import os
import time

import ray

from actors.pool.database import Database
from actors.scheduler.client import TaskQueue
from serve_app.domain.ids import new_id
from tests.bench.tasks.feeder import main
from tests.support.ray_tasks import URL_VARIABLE, marked


async def feed() -> None:
    """Enqueue in one transaction, then tell the scheduler."""
    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False, configure_logging=False)
    database = await Database.open(os.environ[URL_VARIABLE], name="feeder", manager=None, want=4)
    queue = TaskQueue(database, os.environ["EASYPAY_BENCH_NAMESPACE"])

    async def send(count: int) -> None:
        tasks = [marked.new(time.time(), id=new_id()) for _ in range(count)]
        async with database.transaction() as connection:
            await queue.enqueue(connection, tasks)
        queue.poke()

    await main(send)
    queue.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(feed())
