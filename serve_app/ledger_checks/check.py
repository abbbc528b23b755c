"""Compares payments with the sums of their postings, those that changed since the last time.

What changed is told by events: every change of a payment writes one in its own transaction. Transactions commit in any
order, so the check goes by their numbers, and only as far as the oldest one that is still open: nothing can appear
behind it any more. How far it came is stored after each part, so a run that dies is gone on with.

What somebody changes in the tables by hand writes no event; replaying every payment is another job's work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from actors.pool.database import Database
from actors.runtime.clock import Clock
from actors.runtime.tallies import Counters
from serve_app.domain.ids import Prefix, public_id
from serve_app.ledger_checks.window import Window
from serve_app.storage.statements import load_statements

CHECKED = "ledger_payments_checked"
DISCREPANCIES = "ledger_discrepancies"
EVENTS_MAX = 2_000
"""Events of one part, but for those of a single transaction that has more."""
OPEN_MAX = 1_000
"""Known discrepancies that a run looks at again."""
_RUN_MAX_S = 900.0
_PART_TIMEOUT_S = 60.0
_logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Checked:
    """What a run did: the payments that it compared, the discrepancies that were not known before, and whether it came
    to the end of what there was."""

    payments: int = 0
    found: int = 0
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the check has come, when it last went on, and the transaction before which everything is visible."""

    position: int
    moved_at: datetime
    horizon: int


class LedgerCheck:
    """Checks part by part, each a short statement. Two runs at once do no harm: the slower one stops."""

    def __init__(self, database: Database, clock: Clock, counters: Counters) -> None:
        self._sql = load_statements("serve_app.ledger_checks")
        self._database = database
        self._clock = clock
        self._counters = counters

    async def run(
        self,
        told: Callable[[int, int], None] = lambda *_: None,
        *,
        run_max_s: float = _RUN_MAX_S,
        events_max: int = EVENTS_MAX,
    ) -> Checked:
        """Check what changed, for `run_max_s` at most; `told` hears how far it is, in transactions.

        Raises:
            ActorError: the database is away, or where a write ended is not known; repeat.
        """
        total = Checked()
        await self._compare(await self._database.fetch(self._sql["list_open"], OPEN_MAX), total)
        give_up = self._clock.monotonic() + run_max_s
        standing = await self.standing()
        first, position, window = standing.position, standing.position, Window()
        while position < standing.horizon and self._clock.monotonic() < give_up:
            high = min(standing.horizon, position + window.width)
            rows = await self._database.fetch(
                self._sql["list_changed"], position, high, events_max, timeout_s=_PART_TIMEOUT_S
            )
            following: int = rows[0]["next"]
            changed = [row for row in rows if row["payment_id"] is not None]
            for index in range(0, len(changed), events_max):
                await self._compare(changed[index : index + events_max], total)
            tag = await self._database.execute(self._sql["move_position"], position, following)
            if tag != "UPDATE 1":
                return total  # Another run is ahead.
            window.adapt(len(changed), events_max)
            position = following
            told(position - first, standing.horizon - first)
        total.is_complete = position >= standing.horizon
        return total

    async def standing(self) -> Standing:
        """Return how far the check has come."""
        row = await self._database.fetchrow(self._sql["find_position"])
        assert row is not None, "the migration makes the row"
        return Standing(row["position"], row["moved_at"], row["horizon"])

    async def open_discrepancies(self, limit: int) -> Sequence[Any]:
        """Return the discrepancies that are not resolved, longest known first."""
        return await self._database.fetch(self._sql["list_open"], limit)

    async def _compare(self, rows: Sequence[Any], total: Checked) -> None:
        if not rows:
            return
        merchants = [row["merchant_id"] for row in rows]
        payments = [row["payment_id"] for row in rows]
        async with self._database.transaction(_PART_TIMEOUT_S) as connection:
            found = await connection.fetch(self._sql["compare"], merchants, payments)
        total.payments += len(rows)
        total.found += len(found)
        self._counters.add(CHECKED, by=len(rows))
        self._counters.add(DISCREPANCIES, by=len(found))
        for row in found:
            _logger.error(
                "a payment and its postings disagree",
                merchant=public_id(Prefix.MERCHANT, row["merchant_id"]),
                payment=public_id(Prefix.PAYMENT, row["payment_id"]),
                currency=row["currency"],
                payment_captured=row["amount_captured"],
                payment_refunded=row["amount_refunded"],
                ledger_captured=row["captured"],
                ledger_refunded=row["refunded"],
            )
