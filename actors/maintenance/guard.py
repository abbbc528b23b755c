"""Ends sessions of ours that keep dead rows for too long, and names the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from actors.maintenance.horizon import Holder, HorizonRules, Kind, is_news, judge
from actors.maintenance.journal import MaintenanceJournal, OrderedBy
from actors.maintenance.observe import Fetch
from actors.maintenance.step import Action, Step
from actors.pool.statements import load_statements

NAME_EVERY_S = 3600.0
MAINTENANCE_NAME = "easypay-maintenance"
"""How our own connections are called at the server: a vacuum or an index build of theirs holds back nobody."""

_logger = logging.getLogger(__name__)


class HorizonGuard:
    """Looks once when it is told to. Two at once do no harm.

    ``fetches`` are ways to the database by different roles: each ends sessions of its own role alone, and the first one
    sees all and keeps the journal.
    """

    def __init__(self, fetches: Sequence[Fetch], rules: HorizonRules) -> None:
        assert fetches
        self._fetches = fetches
        self._rules = rules
        self._journal = MaintenanceJournal(fetches[0])
        self._sql = load_statements("actors.maintenance")

    async def holders(self) -> list[Holder]:
        """Return who holds the horizon now, longest first, however short that is."""
        return [_holder(dict(row)) for row in await self._fetches[0](self._sql["holders"], MAINTENANCE_NAME)]

    async def look(self) -> list[Step]:
        """End who is to be ended, name who is to be named, and return what was written down.

        Raises what the ways to the database raise. Safe to repeat.
        """
        judged = judge(await self.holders(), self._rules)
        if not judged:
            return []
        history, now = await self._journal.history(), datetime.now(UTC)
        written = []
        for holder, step in judged:
            if not is_news(step, history.get((step.action, step.target)), now, NAME_EVERY_S):
                continue
            entry = await self._journal.begin(step, OrderedBy.SCHEDULE)
            ended = step.action is Action.END_SESSION and await self._end(holder)
            await self._journal.end(entry, {"ended": ended}, (datetime.now(UTC) - now).total_seconds())
            _logger.warning("%s: %s%s", step.target, step.reason, ", its session was ended" if ended else "")
            written.append(step)
        return written

    async def _end(self, holder: Holder) -> bool:
        for fetch in self._fetches:
            # Only in the transaction that was judged: the number may be another session's by now.
            if any(row["ended"] for row in await fetch(self._sql["end_session"], holder.pid, holder.since)):
                return True
        return False


def _holder(row: dict[str, Any]) -> Holder:
    return Holder(**{**row, "kind": Kind(row["kind"])})
