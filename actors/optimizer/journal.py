"""The journal: what was done to indexes and why, with the statement that undoes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from actors.pool.connector import Connection
from actors.pool.statements import load_statements

OWNER = "indexes"
_LAST_ID = (1 << 63) - 1
ENTRIES_MAX = 100


class Action(Enum):
    """What was done."""

    CREATED = "created"
    REJECTED = "rejected"
    DROPPED = "dropped"
    RESTORED = "restored"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. Times are those of the statements that it is about, together, weighted by their calls."""

    id: int
    at: datetime
    epoch: int
    action: str
    table_name: str
    index_name: str
    why: str
    before_ms: float | None
    after_ms: float | None
    statement: str
    undo: str | None
    undone_at: datetime | None = None
    undone_by: int | None = None


class NotOwner(Exception):
    """Another optimizer has taken over; nothing was written."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch

    def __str__(self) -> str:
        return f"the epoch {self.epoch} of the optimizer is over"


class NoJournal(Exception):
    """The database has no journal: nothing was ever done there."""


class Journal:
    """Reads and writes the journal on one connection. Errors are asyncpg's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = load_statements("actors.optimizer")
        self._epoch = 0

    async def exists(self) -> bool:
        """Whether there is one."""
        return bool(await self._connection.fetchval(self._sql["has_journal"]))

    async def open(self, epoch: int | None = None) -> int:
        """Go on under an epoch, or become the owner under a new one; return it.

        The journal is made where it is missing. Raises ``NotOwner`` where the epoch is over.
        """
        if not await self.exists():
            await self._connection.execute(self._sql["make_journal"])
        if epoch is None:
            epoch = int(await self._connection.fetchval(self._sql["take"], OWNER))
        self._epoch = epoch
        await self.check()
        return epoch

    async def check(self) -> None:
        """Say that the owner is alive. Raises ``NotOwner`` where another one has taken over."""
        if await self._connection.fetchval(self._sql["owns"], OWNER, self._epoch) is None:
            raise NotOwner(self._epoch)

    async def silent_s(self) -> float | None:
        """Return for how long the owner has not been heard of, None where there never was one."""
        silent: float | None = await self._connection.fetchval(self._sql["silence"], OWNER)
        return silent

    async def record(
        self,
        action: Action,
        *,
        table: str,
        index: str,
        why: str,
        statement: str,
        undo: str | None = None,
        before_ms: float | None = None,
        after_ms: float | None = None,
    ) -> Entry:
        """Write an entry and return it. Raises ``NotOwner``."""
        values = (OWNER, self._epoch, action.value, table, index, why, before_ms, after_ms, statement, undo)
        entry_id = await self._connection.fetchval(self._sql["record"], *values)
        if entry_id is None:
            raise NotOwner(self._epoch)
        entry = await self.find(entry_id)
        assert entry is not None, "it was written"
        return entry

    async def find(self, entry_id: int) -> Entry | None:
        """Return an entry, None where there is none."""
        row = await self._connection.fetchrow(self._sql["entry"], entry_id)
        return None if row is None else Entry(**row)

    async def entries(self, limit: int = ENTRIES_MAX, before: int = _LAST_ID) -> Sequence[Entry]:
        """Return entries, the newest first; none where there is no journal."""
        if not await self.exists():
            return []
        return [Entry(**row) for row in await self._connection.fetch(self._sql["entries"], before, limit)]

    async def mark_undone(self, entry_id: int, by: int) -> None:
        """Note that an entry was undone."""
        await self._connection.execute(self._sql["mark_undone"], entry_id, by)

    async def kept(self) -> frozenset[str]:
        """Return the names of all indexes that were ever kept."""
        return frozenset(row[0] for row in await self._connection.fetch(self._sql["kept"]))

    async def refused(self, days: int) -> frozenset[str]:
        """Return the names of indexes that are not to be tried, or dropped, again now."""
        return frozenset(row[0] for row in await self._connection.fetch(self._sql["refused"], days))
