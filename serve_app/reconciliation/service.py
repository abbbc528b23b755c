"""Compares an acquirer's report with our books: what agrees, what is missing on either side, what differs.

Its lines are staged, then each posting takes out the line that it meets; what is left over is missing here. Every page
moves the run in the same transaction, so a run that was killed goes on where it was, and the same report is reconciled
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from actors.pool.connector import Connection
from actors.runtime.clock import Clock
from serve_app.batch.meter import Meter
from serve_app.batch.position import Position
from serve_app.batch.runs import FINISHED, Finding, Run, RunRepository
from serve_app.domain.ids import first_id_at
from serve_app.reconciliation.report import Report, ReportLine
from serve_app.reconciliation.repository import ReconciliationRepository, Scope

PAGE = 5000
SETTLES_WITHIN = timedelta(minutes=10)
"""How long before a report its attempts have to have begun to be compared: younger ones may be open on either side."""
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_STAGING, _MATCHING, _LEFT_OVER = "staging", "matching", "left over"


class ReconciliationService:
    """Reconciles one report at a time."""

    def __init__(
        self, repository: ReconciliationRepository, runs: RunRepository, clock: Clock, *, page: int = PAGE
    ) -> None:
        self._repository = repository
        self._runs = runs
        self._clock = clock
        self._page = page

    async def reconcile(
        self,
        report: Report,
        processor: str,
        meter: Meter,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Run:
        """Compare the attempts that began in that time, and return the run with what it counted.

        Without `since` all from the beginning, without `until` all up to ten minutes before the report was made. A run
        about the same report, processor and time that has ended is returned as it is.
        """
        since = since or _FIRST_MOMENT
        until = until or report.generated_at - SETTLES_WITHIN
        scope = Scope(processor, first_id_at(since), first_id_at(until))
        subject = f"{report.digest} {processor} {since.isoformat()} {until.isoformat()}"
        run = await self._runs.begin(subject, _STAGING, {}, self._clock.now())
        if run.phase == FINISHED:
            return run
        await self._runs.discard_others(run)
        await self._repository.drop_others(run.id, self._page)
        if run.phase == _STAGING:
            run = await self._stage(run, report, since, meter)
        if run.phase == _MATCHING:
            run = await self._match(run, report, scope, meter)
        return await self._runs.finish(await self._take_left_over(run, scope), self._clock.now())

    async def _stage(self, run: Run, report: Report, since: datetime, meter: Meter) -> Run:
        meter.begin("read the report", report.lines)
        meter.advance(run.counts.get("lines", 0))
        for page in report.pages(run.counts.get("lines", 0), self._page):
            run = await self._runs.step(run, partial(self._stage_page, page))
            meter.advance(len(page))

        async def end(connection: Connection, stored: Run) -> tuple[Run, list[Finding]]:
            if stored.phase != _STAGING:
                return stored, []
            undone = await self._repository.cancel_undone(connection, stored.id)
            position = {"after": [str(part) for part in Position.before(since)]}
            return stored.moved(position, phase=_MATCHING, undone=undone), []

        return await self._runs.step(run, end)

    async def _stage_page(
        self, page: Sequence[ReportLine], connection: Connection, stored: Run
    ) -> tuple[Run, list[Finding]]:
        if stored.counts.get("lines", 0) >= page[-1].line - 1:
            return stored, []
        repeats = await self._repository.stage(connection, stored.id, page)
        findings = [_repeated(row) for row in repeats]
        return stored.moved({}, lines=len(page), repeated=len(repeats)), findings

    async def _match(self, run: Run, report: Report, scope: Scope, meter: Meter) -> Run:
        meter.begin("compare with the books", report.lines)
        meter.advance(run.counts.get("matched", 0))

        async def match(connection: Connection, stored: Run) -> tuple[Run, list[Finding]]:
            if stored.phase != _MATCHING:
                return stored, []
            after = _position(stored.position["after"])
            result = await self._repository.match(connection, stored.id, after, self._page, scope)
            findings = [_of_ours(row) for row in result.exceptions]
            if result.last is None:
                return stored.moved({}, phase=_LEFT_OVER), findings
            return stored.moved({"after": list(result.last)}, matched=result.matched), findings

        while run.phase == _MATCHING:
            before = run.counts.get("matched", 0)
            run = await self._runs.step(run, match)
            meter.advance(run.counts.get("matched", 0) - before)
        return run

    async def _take_left_over(self, run: Run, scope: Scope) -> Run:
        taken = 0

        async def take(connection: Connection, stored: Run) -> tuple[Run, list[Finding]]:
            nonlocal taken
            rows = await self._repository.take_unmet(connection, stored.id, scope, self._page)
            taken = len(rows)
            findings = [_of_theirs(row) for row in rows if row["is_due"]]
            return stored.moved({}, outside=taken - len(findings)), findings

        run = await self._runs.step(run, take)
        while taken:
            run = await self._runs.step(run, take)
        return run


def _position(parts: Sequence[str]) -> Position:
    return Position(datetime.fromisoformat(parts[0]), *(UUID(part) for part in parts[1:]))


def _repeated(row: Any) -> Finding:
    return Finding("repeated_there", f"{row['attempt']} line {row['line']}", {"first_line": row["first_line"]})


def _of_ours(row: dict[str, Any]) -> Finding:
    ours = {"kind": row["kind"], "amount_minor": row["amount"], "currency": row["currency"]}
    detail: dict[str, Any] = {"payment": f"pay_{UUID(row['payment_id']).hex}", "ours": ours}
    if row["verdict"] == "amount_differs":
        theirs = {"kind": row["their_kind"], "amount_minor": row["their_amount"], "currency": row["their_currency"]}
        detail |= {"theirs": theirs, "reference": row["reference"], "line": row["line"]}
    return Finding(row["verdict"], row["attempt"], detail)


def _of_theirs(row: Any) -> Finding:
    theirs = {"kind": row["kind"], "amount_minor": row["amount_minor"], "currency": row["currency"]}
    detail = {"theirs": theirs, "reference": row["reference"], "line": row["line"]}
    return Finding("missing_here", row["attempt"], detail)
