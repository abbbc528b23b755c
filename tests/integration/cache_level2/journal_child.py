"""A process that appends to a journal and applies it until it is killed. Says on its output what was acknowledged.

Arguments: the URL, the journal's name, the file that its sink writes to, and the number of this life.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Sequence

from actors.cache.level2.journal import Entry, Journal
from actors.cache.level2.sealing import Sealer

_KEYS = 5
_WRITERS = 3


def _write(file: int, record: object) -> None:
    # One call: a kill leaves a whole line or none.
    os.write(file, json.dumps(record).encode() + b"\n")


async def _live(url: str, name: str, applied: str, life: int) -> None:
    journal = Journal(url, Sealer(b"k" * 32), name=name, batch_max=7)
    await journal.open()
    sink_file = os.open(applied, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def sink(entries: Sequence[Entry]) -> None:
        for entry in entries:
            _write(sink_file, [entry.id, entry.key, entry.payload.decode()])
            await asyncio.sleep(0)

    async def write(writer: int) -> None:
        for number in itertools.count():
            key = f"key-{(writer + number) % _KEYS}"
            batch = [(key, f"{life}.{writer}.{number}.{part}".encode()) for part in range(1 + number % 3)]
            ids = await journal.append(batch)
            for identifier, (_, payload) in zip(ids, batch, strict=True):
                _write(sys.stdout.fileno(), [identifier, key, payload.decode()])

    await asyncio.gather(journal.run(sink), *(write(writer) for writer in range(_WRITERS)))


if __name__ == "__main__":
    asyncio.run(_live(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
