"""Feeds tasks: as many as are completed, or so many a second; that first, for waits are those of all tasks so far.

Standard library only, for the peers import it too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.bench.tasks.marks import FOLDER_VARIABLE, counted, waits

BATCH = 100
_OUTSTANDING = 2000
_LOOK_EVERY_S = 0.01
_WARM_UP_S = 3.0

Send = Callable[[int], Awaitable[None]]
"""Enqueues so many tasks, each with the time at which it is."""


async def main(send: Send) -> None:
    """Do what the command line says, `flood SECONDS` or `pace SECONDS RATE`, and print what came of it as JSON."""
    kind, seconds = sys.argv[1], float(sys.argv[2])
    folder = Path(os.environ[FOLDER_VARIABLE])
    if kind == "flood":
        print(json.dumps({"rate": await _flood(send, folder, seconds)}))
        return
    before, rate = counted(folder), int(sys.argv[3])
    await _pace(send, seconds, rate)
    await _until(folder, before + int(seconds * rate))
    found = waits(folder)
    print(json.dumps({"p50_s": found[len(found) // 2], "p99_s": found[int(len(found) * 0.99)]}))


async def _flood(send: Send, folder: Path, seconds: float) -> float:
    """Keep a bounded number of tasks outstanding; return how many a second were completed, the start left out."""
    fed = counted(folder)
    began = time.monotonic()
    first: tuple[float, int] | None = None
    while True:
        now, done = time.monotonic(), counted(folder)
        if first is None and now >= began + _WARM_UP_S:
            first = now, done
        if now >= began + _WARM_UP_S + seconds:
            break
        room = _OUTSTANDING - (fed - done)
        if room < BATCH:
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        batches = min(4, room // BATCH)
        await asyncio.gather(*(send(BATCH) for _ in range(batches)))
        fed += batches * BATCH
    assert first is not None
    await _until(folder, fed)
    return (done - first[1]) / (now - first[0])


async def _pace(send: Send, seconds: float, rate: int) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    sending: set[asyncio.Future[None]] = set()
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        one = asyncio.ensure_future(send(1))
        sending.add(one)
        one.add_done_callback(sending.discard)
    await asyncio.gather(*sending)


async def _until(folder: Path, count: int) -> None:
    async with asyncio.timeout(60):
        while counted(folder) < count:
            await asyncio.sleep(_LOOK_EVERY_S)
