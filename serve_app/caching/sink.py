"""Where writes that were recorded at the cache end: PostgreSQL, each once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from actors.cache.level2.journal import Entry, NotOwner
from actors.pool.connector import Connection
from actors.pool.database import Database

Write: TypeAlias = tuple[str, bytes]
"""A name, which begins with its model's, and a payload that the model's ``Apply`` understands."""

Apply: TypeAlias = Callable[[Connection, Sequence[Write]], Awaitable[None]]
"""Applies writes of one model, in the order given, in the transaction that is open. Given twice they count twice."""

_TAKE = """
INSERT INTO cache_journals AS known (name, owner, applied_ms, applied_sequence) VALUES ($1, $2, 0, 0)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner WHERE known.owner <= excluded.owner
RETURNING applied_ms, applied_sequence
"""
_APPLIED = "SELECT applied_ms, applied_sequence FROM cache_journals WHERE name = $1 FOR UPDATE"
_MOVE_ON = "UPDATE cache_journals SET applied_ms = $2, applied_sequence = $3, applied_at = now() WHERE name = $1"


class StoredSink:
    """The sink of one journal. What it has applied stands in the transaction that applied it, so nothing is applied
    twice: not by a batch that is given again, nor by an owner of before that still holds one.

    That rests on ids that rise for as long as the journal has its name: two Redis servers under one name, at the same
    time, would each hide entries of the other.
    """

    def __init__(
        self, open_database: Callable[[], Awaitable[Database]], journal: str, appliers: Mapping[str, Apply]
    ) -> None:
        """``open_database`` is called once, by the first ``take``. ``appliers`` are by the names of their models."""
        self._open_database = open_database
        self._journal = journal
        self._appliers = appliers
        self._opened: Database | None = None

    async def take(self, owner: int) -> tuple[int, int]:
        """Note the owner, and return how far the journal is applied. Safe to repeat.

        Raises NotOwner where there was one of a higher number, and what ``Database`` raises.
        """
        if self._opened is None:
            self._opened = await self._open_database()
        async with self._opened.transaction() as connection:
            row = await connection.fetchrow(_TAKE, self._journal, owner)
        if row is None:
            raise NotOwner(self._journal)
        return row["applied_ms"], row["applied_sequence"]

    async def apply(self, entries: Sequence[Entry]) -> None:
        """Apply what is new of these entries, the oldest that the journal has. Safe to repeat.

        Raises KeyError for a model that this version of the code does not know: nothing was applied, and a later one
        will know it.
        """
        assert self._opened is not None, "take comes first"
        async with self._opened.transaction() as connection:
            # The lock makes two owners take turns. Either begins with the oldest, so there is never a gap.
            applied = tuple(await connection.fetchrow(_APPLIED, self._journal))
            new = [entry for entry in entries if entry.order > applied]
            if new:
                await apply_all(connection, self._appliers, [(entry.key, entry.payload) for entry in new])
                await connection.execute(_MOVE_ON, self._journal, *new[-1].order)

    async def close(self) -> None:
        """Give the connection back."""
        if self._opened is not None:
            await self._opened.close()


async def apply_all(connection: Connection, appliers: Mapping[str, Apply], writes: Sequence[Write]) -> None:
    """Apply writes of any models in the transaction that is open; those of one name stay in their order."""
    by_model: dict[str, list[Write]] = {}
    for write in writes:
        by_model.setdefault(write[0].partition(":")[0], []).append(write)
    for model, own in by_model.items():
        await appliers[model](connection, own)
