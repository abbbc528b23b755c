"""Verify payments, books and events: `python -m cluster.jobs.verify_ledger [--json]`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from actors.runtime.clock import SystemClock
from cluster.jobs.findings import findings_outcome
from cluster.jobs.options import JsonOption
from cluster.jobs.process import Job, Outcome, run_job
from serve_app.batch.runs import RunRepository
from serve_app.verification.repository import VerificationRepository
from serve_app.verification.service import PAGE, VerificationService


def verify_ledger(
    page: Annotated[int, typer.Option(min=1, max=10_000, help="Payments of one snapshot.")] = PAGE,
    as_json: JsonOption = False,
) -> None:
    """Replay every payment from its attempts and compare it with payments, refunds, books, events and settlements.

    Exit status: 0 all agrees, 1 exceptions were found, 2 it could not be done.
    """

    async def work(job: Job) -> Outcome:
        runs = RunRepository(job.database, job.name)
        repository = VerificationRepository(job.database)
        service = VerificationService(job.database, repository, runs, SystemClock(), page=page)
        return await findings_outcome(runs, await service.verify(job.meter), {})

    sys.exit(run_job("verify_ledger", work, as_json=as_json))


if __name__ == "__main__":
    typer.run(verify_ledger)
