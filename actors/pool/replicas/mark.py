"""The position that a replica has to have replayed before a reader may ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actors.pool.database import Database
from actors.pool.faults import RESOURCE, RETRY_AFTER_S
from actors.pool.servers.timeline import PRIMARY_POSITION
from actors.pool.statement import BatchStatement
from actors.runtime.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Mark:
    """A position at or after a reader's last write. Only a replica of its timeline or a later one can have it."""

    timeline: int
    lsn: int

    def encode(self) -> bytes:
        """Return it as bytes, for a cache."""
        return f"{self.timeline}/{self.lsn}".encode()

    @classmethod
    def decode(cls, text: bytes) -> Mark:
        """Return what ``encode`` wrote."""
        timeline, _, lsn = text.partition(b"/")
        return cls(int(timeline), int(lsn))


class Marks:
    """Asks the primary where it is. Readers that ask at once share a statement, none that began before they asked.

    Source: Ongaro, Consensus: Bridging Theory and Practice, 2014, section 6.4 (read index).
    """

    def __init__(self, database: Database) -> None:
        self._now = database.committer(
            BatchStatement[tuple[int], Mark | None](
                name="current_position",
                sql=f"""
                    SELECT item.ordinal::int, here.* FROM unnest($1::int[]) WITH ORDINALITY AS item (one, ordinal),
                    ({PRIMARY_POSITION}) AS here
                """,
                result=_mark,
                key=None,
                writes=False,
            )
        )

    async def now(self) -> Mark:
        """Return a mark that covers every commit which was acknowledged before the call.

        Raises ``Unavailable`` and others as ``GroupCommitter.submit`` does for a read.
        """
        found = await self._now.submit((0,))
        if found is None:
            raise Unavailable(RESOURCE, "connected to a standby", RETRY_AFTER_S)
        return found


def _mark(row: Any) -> Mark | None:
    return None if row["lsn"] is None else Mark(row["timeline"], row["lsn"])
