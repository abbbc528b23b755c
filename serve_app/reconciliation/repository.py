"""The lines of a report in PostgreSQL, until a posting of ours meets them. Each method runs in its caller's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asyncpg import Record
from pydantic_core import from_json

from actors.pool.connector import Connection
from actors.pool.database import Database
from serve_app.batch.position import Position
from serve_app.batch.repeat import repeated
from serve_app.domain.ids import Prefix, public_id
from serve_app.reconciliation.report import ReportLine
from serve_app.storage.statements import load_statements


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared: the attempts of one processor whose ids are in a range, which is a range of time."""

    processor: str
    first_id: UUID
    end_id: UUID


@dataclass(frozen=True, slots=True)
class Matched:
    """What a page of postings came to. `last` is where it ended, None where there was no posting left."""

    last: Sequence[str] | None
    matched: int
    exceptions: Sequence[dict[str, Any]]


class ReconciliationRepository:
    """Stages and matches the lines of one run."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load_statements("serve_app.reconciliation")

    async def stage(self, connection: Connection, run_id: UUID, lines: Sequence[ReportLine]) -> list[Record]:
        """Keep lines, and return those about an attempt that an earlier line was about."""
        columns = list(zip(*lines, strict=True))
        await connection.execute(self._sql["stage"], run_id, *columns)
        rows: list[Record] = await connection.fetch(self._sql["repeated_lines"], run_id, *columns[:2])
        return rows

    async def cancel_undone(self, connection: Connection, run_id: UUID) -> int:
        """Take out attempts that were undone, with what undid them; return how many lines that were."""
        tag: str = await connection.execute(self._sql["cancel_undone"], run_id)
        return int(tag.split()[1])

    async def match(self, connection: Connection, run_id: UUID, after: Position, page: int, scope: Scope) -> Matched:
        """Compare a page of postings with the lines, and take those out."""
        row = await connection.fetchrow(
            self._sql["match"], run_id, *after, page, scope.processor, scope.first_id, scope.end_id
        )
        return Matched(row["last"], row["matched"], from_json(row["exceptions"]))

    async def take_unmet(self, connection: Connection, run_id: UUID, scope: Scope, page: int) -> list[Record]:
        """Take out a page of the lines that no posting has met."""
        bounds = (public_id(Prefix.ATTEMPT, scope.first_id), public_id(Prefix.ATTEMPT, scope.end_id))
        rows: list[Record] = await connection.fetch(self._sql["take_unmet"], run_id, *bounds, page)
        return rows

    async def drop_others(self, run_id: UUID, page: int) -> None:
        """Take out all lines of other runs, a page at a time."""

        async def drop() -> bool:
            async with self._database.transaction() as connection:
                tag: str = await connection.execute(self._sql["drop_others"], run_id, page)
                return tag != "DELETE 0"

        while await repeated(drop):
            pass
