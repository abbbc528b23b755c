"""A shard of limits in the test's own process: the real ledger behind a way that can be slow, broken or cut."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actors.cache.limits.ledger import PermitLedger
from actors.cache.limits.messages import PermitAnswer, PermitAsk
from actors.runtime.errors import Unavailable


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


class LocalShard:
    """The way of one process to a ledger that may be shared."""

    def __init__(self, ledger: PermitLedger, owner: str = "a", delay_s: float = 0.001) -> None:
        self._ledger = ledger
        self._owner = owner
        self.delay_s = delay_s
        self.fault: Exception | None = None
        self.batches: list[Sequence[PermitAsk]] = []

    async def permits(self, asks: Sequence[PermitAsk]) -> list[PermitAnswer]:
        """Ask."""
        self.batches.append(asks)
        await asyncio.sleep(self.delay_s)
        if self.fault is not None:
            raise self.fault
        return [self._ledger.answer(self._owner, ask) for ask in asks]

    def cut(self) -> None:
        """It cannot be reached."""
        self.fault = Unavailable("shard", "is away", 1.0)


def open_ledger() -> PermitLedger:
    """Return a ledger of keys that nobody has granted permits of before."""
    return PermitLedger(clock=now, life="1", is_first=True)
