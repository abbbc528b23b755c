"""The journal in the database: what was done, why, and what it changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from json import dumps, loads
from typing import Any, NamedTuple
from uuid import UUID

from actors.maintenance.observe import Fetch
from actors.maintenance.past import History, Past
from actors.maintenance.step import Action, Numbers, Step
from actors.pool.statements import load_statements

ERROR_LENGTH_MAX = 500


class OrderedBy(Enum):
    """Who had it done."""

    SCHEDULE = "schedule"
    HAND = "hand"


class Entry(NamedTuple):
    """What is written of a step, as it is shown."""

    id: UUID
    started_at: datetime
    action: str
    target: str
    ordered_by: str
    urgency: str
    reason: str
    statement: str
    before: Numbers
    after: Numbers | None
    seconds: float | None
    outcome: str
    error: str | None


class MaintenanceJournal:
    """Each step is written down before it begins and again when it has ended: what was cut short shows."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._sql = load_statements("actors.maintenance")

    async def begin(self, step: Step, ordered_by: OrderedBy) -> UUID:
        """Write down that a step begins."""
        rows = await self._fetch(
            self._sql["begin_entry"],
            step.action.value,
            step.target,
            ordered_by.value,
            step.urgency.name.lower(),
            step.reason,
            step.statement,
            dumps(dict(step.before)),
        )
        found: UUID = rows[0]["id"]
        return found

    async def end(self, entry: UUID, after: Numbers, seconds: float, error: str | None = None) -> None:
        """Write down how it ended; with an ``error`` it failed."""
        outcome = "done" if error is None else "failed"
        text = None if error is None else error[:ERROR_LENGTH_MAX]
        await self._fetch(self._sql["end_entry"], entry, outcome, text, dumps(dict(after)), seconds)

    async def tidy(self) -> None:
        """Say of what was cut short that it was, and forget what is old. For who has the turn."""
        await self._fetch(self._sql["end_interrupted"])
        await self._fetch(self._sql["prune_journal"])

    async def history(self) -> History:
        """Return the last of each kind within a week."""
        return {
            (Action(row["action"]), row["target"]): Past(
                row["at"], row["was_done"], loads(row["before"]), loads(row["after"])
            )
            for row in await self._fetch(self._sql["history"])
        }

    async def newest(self, limit: int) -> list[Entry]:
        """Return the newest entries, newest first."""
        return [_entry(dict(row)) for row in await self._fetch(self._sql["list_journal"], limit)]


def _entry(row: Mapping[str, Any]) -> Entry:
    after = row["after"]
    return Entry(**{**row, "before": loads(row["before"]), "after": None if after is None else loads(after)})
