"""Forgets idempotency keys whose answer is old enough.

Age counts from the answer: a key whose attempt is open is never forgotten, nor is one that was answered a moment ago
after its attempt had been open for days. Whoever repeats a request would charge again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from actors.pool.database import Database
from actors.runtime.clock import Clock
from actors.runtime.tallies import Counters
from serve_app.storage.statements import load_statements

DELETED = "idempotency_keys_deleted"
BATCH_MAX = 500
LISTED_MAX = 20_000
"""Keys of one list. Each list reads what the index points to once, whatever number of batches it is deleted in."""
LISTS_MAX = 10
_PAUSE_S = 0.02
"""Between two batches: payments that wait for their turn at the disk go first."""
_LIST_TIMEOUT_S = 60.0


class KeyRetention:
    """Deletes old keys in small batches. Two runs at once do no harm."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        keep: timedelta,
        counters: Counters,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        sql = load_statements("serve_app.retention")
        self._list_sql, self._delete_sql = sql["list_old_keys"], sql["delete_keys"]
        self._database = database
        self._clock = clock
        self._keep = keep
        self._counters = counters
        self._sleep = sleep

    async def run(
        self,
        told: Callable[[int], None] = lambda _: None,
        *,
        batch_max: int = BATCH_MAX,
        listed_max: int = LISTED_MAX,
        lists_max: int = LISTS_MAX,
    ) -> int:
        """Delete up to `listed_max` times `lists_max` keys and return how many; `told` hears of each batch.

        Raises:
            ActorError: the database is away; what was deleted is, repeat for the rest.
        """
        before = self._clock.now() - self._keep
        deleted = 0
        for _ in range(lists_max):
            rows = await self._database.fetch(self._list_sql, before, listed_max, timeout_s=_LIST_TIMEOUT_S)
            keys = [(row["merchant_id"], row["livemode"], row["key"]) for row in rows]
            for index in range(0, len(keys), batch_max):
                columns = [list(column) for column in zip(*keys[index : index + batch_max], strict=True)]
                tag = await self._database.execute(self._delete_sql, *columns, before)
                count = int(tag.rsplit(" ", 1)[-1])
                deleted += count
                self._counters.add(DELETED, by=count)
                told(deleted)
                await self._sleep(_PAUSE_S)
            if len(rows) < listed_max:
                break
        return deleted
