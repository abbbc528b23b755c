"""procrastinate: `worker`, or what the feeder takes."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

from tests.bench.tasks.feeder import main
from tests.bench.tasks.marks import mark

app = App(connector=PsycopgConnector(conninfo=os.environ["EASYPAY_BENCH_URL"], min_size=4, max_size=10))


@app.task(name="noop")  # type: ignore[untyped-decorator]
async def noop(enqueued_at: float) -> None:
    """Do nothing."""
    mark(enqueued_at)


async def send(count: int) -> None:
    """Enqueue in one statement."""
    await noop.batch_defer_async(*({"enqueued_at": time.time()} for _ in range(count)))


async def run() -> None:
    """Do as the command line says."""
    async with app.open_async():
        if sys.argv[1] == "schema":
            await app.schema_manager.apply_schema_async()
        elif sys.argv[1] == "worker":
            await app.run_worker_async(
                concurrency=100, install_signal_handlers=False, delete_jobs="never", fetch_job_polling_interval=0.5
            )
        else:
            await main(send)


asyncio.run(run())
