"""Runs of jobs in PostgreSQL: where each is, what it has counted, and what it found to be wrong.

Position, counts and exceptions of a page are committed together with the page. So a run that was killed goes on after
its last page, and counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic_core import from_json, to_json

from actors.pool.connector import Connection
from actors.pool.database import Database
from serve_app.batch.repeat import repeated
from serve_app.domain.ids import new_id
from serve_app.storage.statements import load_statements

TIMEOUT_S = 60.0
FINISHED = "finished"


class Finding(NamedTuple):
    """Something that is wrong about a subject, one of a kind for each; `detail` says what was expected and found."""

    kind: str
    subject: str
    detail: Mapping[str, Any]


class NumberedFinding(NamedTuple):
    """A finding of a run that has ended."""

    number: int
    kind: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """How far a run is. `position` is the job's own; `counts` only rise."""

    id: UUID
    subject: str
    phase: str
    position: Mapping[str, Any]
    counts: Mapping[str, int]
    started_at: datetime
    finished_at: datetime | None

    def moved(self, position: Mapping[str, Any], *, phase: str | None = None, **counted: int) -> Run:
        """Return the run at another position, with so many more of each."""
        counts = dict(self.counts)
        for name, count in counted.items():
            counts[name] = counts.get(name, 0) + count
        return replace(self, phase=phase or self.phase, position=position, counts=counts)


class RunRepository:
    """Keeps the runs of one job."""

    def __init__(self, database: Database, job: str) -> None:
        self._database = database
        self._job = job
        self._sql = load_statements("serve_app.batch")

    async def begin(self, subject: str, phase: str, position: Mapping[str, Any], now: datetime) -> Run:
        """Begin the run about that subject, or return it as far as it is."""
        arguments = (new_id(), self._job, subject, phase, _text(position), now)

        async def begin() -> Run:
            async with self._database.transaction(TIMEOUT_S) as connection:
                return _run(await connection.fetchrow(self._sql["begin_run"], *arguments))

        return await repeated(begin)

    async def find_open(self) -> Run | None:
        """Return the newest run that has not ended."""
        row = await repeated(lambda: self._database.fetchrow(self._sql["find_open_run"], self._job))
        return None if row is None else _run(row)

    async def save(self, connection: Connection, run: Run, findings: Sequence[Finding] = ()) -> None:
        """Record how far the run is and what it found, in the transaction of its page."""
        if findings:
            kinds, subjects, details = zip(*findings, strict=True)
            texts = [_text(detail) for detail in details]
            await connection.execute(self._sql["add_exceptions"], run.id, kinds, subjects, texts)
        await connection.execute(self._sql["save_run"], run.id, run.phase, _text(run.position), _text(run.counts))

    async def step(self, run: Run, page: Callable[[Connection, Run], Awaitable[tuple[Run, Sequence[Finding]]]]) -> Run:
        """Do one page in a transaction that also moves the run, and return the run as it is then.

        `page` is given the run as it is stored, and returns it moved, with what it found. Where a COMMIT was lost on
        the wire it is called for the page after, or for the same one: no page is done twice.
        """

        async def step() -> Run:
            async with self._database.transaction(TIMEOUT_S) as connection:
                stored = _run(await connection.fetchrow(self._sql["lock_run"], run.id))
                moved, findings = await page(connection, stored)
                await self.save(connection, moved, findings)
                return moved

        return await repeated(step)

    async def discard_others(self, run: Run) -> None:
        """Forget the other runs of this job that have not ended, with their exceptions."""

        async def discard() -> None:
            async with self._database.transaction(TIMEOUT_S) as connection:
                await connection.execute(self._sql["discard_runs"], self._job, run.id)

        await repeated(discard)

    async def finish(self, run: Run, now: datetime) -> Run:
        """End the run and number its exceptions."""

        async def finish() -> None:
            async with self._database.transaction(TIMEOUT_S) as connection:
                await connection.execute(self._sql["finish_run"], run.id, _text(run.counts), now)

        await repeated(finish)
        return replace(run, phase=FINISHED, finished_at=now)

    async def exception_counts(self, run: Run) -> dict[str, int]:
        """Return how many exceptions of each kind the run found."""
        rows = await repeated(lambda: self._database.fetch(self._sql["count_exceptions"], run.id, timeout_s=TIMEOUT_S))
        return {row["kind"]: row["count"] for row in rows}

    async def exceptions(self, run: Run, limit: int) -> list[NumberedFinding]:
        """Return the first exceptions of a run that has ended."""
        rows = await repeated(lambda: self._database.fetch(self._sql["list_exceptions"], run.id, limit))
        return [NumberedFinding(row["number"], row["kind"], row["subject"], from_json(row["detail"])) for row in rows]


def _run(row: Any) -> Run:
    return Run(
        id=row["id"],
        subject=row["subject"],
        phase=row["phase"],
        position=from_json(row["position"]),
        counts=from_json(row["counts"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def _text(value: Mapping[str, Any]) -> str:
    return to_json(value).decode()
