"""Replays every payment and compares, page by page. A run that was killed goes on after its last page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from actors.pool.database import Database
from actors.runtime.clock import Clock
from serve_app.batch.meter import Meter
from serve_app.batch.repeat import repeated
from serve_app.batch.runs import Finding, Run, RunRepository
from serve_app.domain.ids import Prefix, public_id
from serve_app.domain.settlement import LATE_MAX, end_of
from serve_app.verification.checks import check
from serve_app.verification.repository import FIRST_KEY, Key, Page, VerificationRepository

PAGE = 1000


class VerificationService:
    """Verifies the whole database once for each run."""

    def __init__(
        self,
        database: Database,
        repository: VerificationRepository,
        runs: RunRepository,
        clock: Clock,
        *,
        page: int = PAGE,
    ) -> None:
        self._database = database
        self._repository = repository
        self._runs = runs
        self._clock = clock
        self._page = page

    async def verify(self, meter: Meter) -> Run:
        """Finish the run that was left unfinished, else make a new one; return it with what it counted."""
        now = self._clock.now()
        run = await self._runs.find_open()
        if run is None:
            run = await self._runs.begin(now.isoformat(), "payments", {"after": list(FIRST_KEY)}, now)
        meter.begin("payments", await self._repository.estimate_payments())
        meter.advance(run.counts.get("payments", 0))
        settled_until = await self._settled_until()
        after: Key | None = Key(*(UUID(part) for part in run.position["after"]))
        while after is not None:
            page = await self._repository.page(after, self._page)
            run = await self._record(run, page, list(_findings(page, settled_until)))
            meter.advance(len(page.dossiers))
            after = page.until
        return await self._runs.finish(run, self._clock.now())

    async def _record(self, run: Run, page: Page, findings: list[Finding]) -> Run:
        moved = run.moved(
            {"after": list(page.until)} if page.until else run.position,
            payments=len(page.dossiers),
            attempts=sum(len(dossier.attempts) for dossier in page.dossiers),
            postings=sum(len(dossier.postings) for dossier in page.dossiers),
            events=sum(len(dossier.events) for dossier in page.dossiers),
        )
        if page.until is None:
            # The end counts it: were it saved here and killed then, the last page would be counted twice.
            await self._save(run, findings)
        else:
            await self._save(moved, findings)
        return moved

    async def _save(self, run: Run, findings: list[Finding]) -> None:
        async def save() -> None:
            async with self._database.transaction() as connection:
                await self._runs.save(connection, run, findings)

        await repeated(save)

    async def _settled_until(self) -> datetime | None:
        day = await self._repository.last_settled_day()
        return None if day is None else end_of(day) - LATE_MAX


def _findings(page: Page, settled_until: datetime | None) -> Iterator[Finding]:
    for dossier in page.dossiers:
        yield from check(dossier, settled_until)
    yield from _strays("attempt_without_payment", Prefix.ATTEMPT, "id", page.stray_attempts)
    yield from _strays("posting_without_payment", Prefix.ATTEMPT, "attempt_id", page.stray_postings)
    for row in page.stray_events:
        yield Finding("event_without_object", f"{row['object_id'].hex}.{row['sequence']}", {"type": row["type"]})
    for row in page.wrong_settlements:
        detail = {name: row[name] for name in ("fee_minor", "fee_posted", "payout_minor", "payout_posted")}
        yield Finding("settlement_not_posted", public_id(Prefix.SETTLEMENT, row["id"]), detail)


def _strays(kind: str, prefix: Prefix, column: str, rows: Iterable[Record]) -> Iterator[Finding]:
    for row in rows:
        yield Finding(kind, public_id(prefix, row[column]), {"payment": public_id(Prefix.PAYMENT, row["payment_id"])})
