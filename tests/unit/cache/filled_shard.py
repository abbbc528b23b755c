"""A process that holds one shard and fills it, and prints by how much it grew. Arguments: bytes of the bound, keys."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from actors.cache.messages import Begin, End, Fill, Load, Want
from actors.cache.shard import LEASE_S, CacheShard

_BATCH = 100
_BATCHES_PER_S = 100
_BYTES_MIN, _BYTES_MAX = 500, 900
_HELD_NEAR_MAX = 30_000
_PAGES_PER_BATCH, _READS_PER_PAGE = 5, 4


class _Process:
    """A session with the shard; a near cache of ``held_max`` drops the oldest keys, one of 0 none ever."""

    def __init__(self, shard: CacheShard, name: str, held_max: int) -> None:
        welcome = shard.open_session(name)
        self.session = welcome.session
        self._shard = shard
        self._acknowledged = welcome.sequence
        self._held_max = held_max
        self._held: deque[tuple[str, int]] = deque()

    def load(self, wants: Iterable[Want], draw: random.Random) -> None:
        """Read keys, and fill what is to be loaded. Names are made anew, as they are when they come off the wire."""
        wants = list(wants)
        fills: list[Fill] = []
        for want, answer in zip(wants, self._shard.read(self.session, wants), strict=True):
            if isinstance(answer, Load):
                value = bytes(draw.randint(_BYTES_MIN, _BYTES_MAX))
                fills.append(Fill(want.key[:1] + want.key[1:], answer.token, value, 1, 600.0))
                if answer.hold and self._held_max:
                    self._held.append((want.key, answer.hold))
        self._shard.tell(self.session, fills)

    async def listen(self) -> None:
        """Prolong the lease, drop what was changed, and tell what was let go of."""
        drops = [self._held.popleft() for _ in range(len(self._held) - self._held_max)]
        notices = await self._shard.listen(self.session, self._acknowledged, drops, None)
        self._acknowledged = notices.sequence

    async def change(self, transition: int, keys: tuple[str, ...]) -> None:
        """Change keys without a new value."""
        self._shard.begin(self.session, [Begin(transition, keys, ())])
        self._shard.tell(self.session, [End(transition, (), True)])


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def _key(number: int) -> str:
    return f"payment:pay_{number:032x}"


def _pages(batch: int) -> Iterable[Want]:
    """Read pages of some merchants, each so often that it is worth caching."""
    for number in range(_PAGES_PER_BATCH):
        tag = f"payments:mer_{batch * _PAGES_PER_BATCH + number:032x}:test"
        for _ in range(_READS_PER_PAGE):
            yield Want(f"payment_page:{tag}:limit=10", tag, False)


async def _fill(bound_bytes: int, keys: int) -> dict[str, float]:
    now, draw = 0.0, random.Random(1)
    before = peak = _resident_bytes()
    shard = CacheShard(bound_bytes, clock=lambda: now, incarnation=1, listen_s=0.0, draw=random.Random(2))
    now = LEASE_S
    processes = [_Process(shard, "keeps all", 0), _Process(shard, "keeps some", _HELD_NEAR_MAX)]
    for batch in range(keys // _BATCH):
        now += 1 / _BATCHES_PER_S
        process, first = processes[batch % 2], batch * _BATCH
        process.load((Want(_key(number), None, True) for number in range(first, first + _BATCH)), draw)
        if batch % 10 == 0:
            process.load(_pages(batch), draw)
            await process.change(batch, tuple(_key(number) for number in range(first, first + _BATCH, 4)))
            for each in processes:
                await each.listen()
            peak = max(peak, _resident_bytes())
    state = shard.snapshot().state
    return {
        "grown_bytes": peak - before,
        "bytes_used": state.bytes_used,
        "entries": state.entries,
        "held": state.held,
        "sessions": state.sessions,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_fill(int(sys.argv[1]), int(sys.argv[2])))))
