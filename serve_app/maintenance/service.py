"""Keeps the database in order while the gateway runs, and tells how things stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from actors.maintenance.decide import decide
from actors.maintenance.figures import Figures
from actors.maintenance.guard import MAINTENANCE_NAME, HorizonGuard
from actors.maintenance.horizon import Holder, HorizonRules
from actors.maintenance.journal import Entry, MaintenanceJournal
from actors.maintenance.maintainer import Done, Maintainer
from actors.maintenance.observe import Fetch, Observer
from actors.maintenance.policy import Policy
from actors.maintenance.step import Action, Step
from actors.pool.connector import Connector
from actors.pool.database import Database
from actors.runtime.tallies import Counters

STEPS = "maintenance_steps"
SECONDS = "maintenance_seconds"
HOLDERS = "horizon_holders"

Mode = Literal["auto", "watch"]

_PARTITIONS = frozenset({Action.MAKE_PARTITIONS, Action.DROP_PARTITION})


@dataclass(frozen=True, slots=True)
class MaintenanceStanding:
    """How things stand: what is worth doing, what was done, and who keeps dead rows."""

    mode: Mode
    figures: Figures
    planned: Sequence[Step]
    journal: Sequence[Entry]
    holders: Sequence[Holder]


class DatabaseMaintenance:
    """Runs in whichever process the scheduler chooses; at most one maintains at a time.

    In the mode `watch` nothing is done but what nobody else does: partitions are made and dropped.
    """

    def __init__(
        self,
        database: Database,
        owner_url: str,
        policy: Policy,
        rules: HorizonRules,
        counters: Counters,
        mode: Mode = "auto",
    ) -> None:
        """``owner_url`` is that of the role that owns the tables."""
        self._database = database
        self._policy = policy
        self._mode = mode
        self._counters = counters
        self._maintainer = Maintainer(owner_url, policy)
        self._guard = HorizonGuard([database.fetch, _single_use(owner_url)], rules)

    async def run(self, told: Callable[[int, int], None] = lambda _done, _of: None) -> list[Done] | None:
        """Do what is worth doing now; None: somebody else is at it. ``told`` hears how many steps of how many are done.

        Raises:
            ActorError: the database is away; safe to repeat.
        """
        count = 0

        def on_step(done: Done, total: int) -> None:
            nonlocal count
            count += 1
            action, outcome = done.step.action.value, "done" if done.error is None else "failed"
            self._counters.add(STEPS, action, outcome)
            self._counters.add(SECONDS, action, by=done.seconds)
            told(count, total)

        only = frozenset(Action) if self._mode == "auto" else _PARTITIONS
        return await self._maintainer.run(on_step, only=only)

    async def guard(self) -> list[Step]:
        """End sessions of ours that keep dead rows for too long, name the others; return what was written down.

        Raises:
            ActorError: the database is away; safe to repeat.
        """
        if self._mode == "watch":
            return []
        written = await self._guard.look()
        for step in written:
            self._counters.add(HOLDERS, str(step.before["kind"]), step.action.value)
        return written

    async def standing(self, journal_max: int) -> MaintenanceStanding:
        """Return how things stand."""
        figures = await Observer(self._database.fetch).figures(self._policy.partitions)
        journal = MaintenanceJournal(self._database.fetch)
        planned = decide(figures, await journal.history(), self._policy)
        return MaintenanceStanding(
            self._mode, figures, planned, await journal.newest(journal_max), await self._guard.holders()
        )


def _single_use(url: str) -> Fetch:
    """Return a way to the database on a connection that is made for each statement: it is needed once in a while."""

    async def fetch(sql: str, *args: Any) -> Sequence[Any]:
        connection = await Connector(url).connect(MAINTENANCE_NAME)
        try:
            rows: Sequence[Any] = await connection.fetch(sql, *args)
            return rows
        finally:
            connection.terminate()

    return fetch
