"""Reconcile with the acquirer: `python -m cluster.jobs.reconcile (--report FILE | --acquirer URL) [--json]`."""

from __future__ import annotations

import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

from actors.runtime.clock import SystemClock
from cluster.jobs.findings import findings_outcome
from cluster.jobs.options import DayOption, JsonOption, OutputOption, moment_of
from cluster.jobs.process import Job, JobError, Outcome, output_folder, run_job
from serve_app.batch.files import whole_file
from serve_app.batch.runs import RunRepository
from serve_app.reconciliation.report import Report
from serve_app.reconciliation.repository import ReconciliationRepository
from serve_app.reconciliation.service import PAGE, ReconciliationService

_TIMEOUT_S = 60.0


def reconcile(
    report: Annotated[Path | None, typer.Option(help="The acquirer's report, a CSV file.")] = None,
    acquirer: Annotated[str | None, typer.Option(help="URL of the acquirer, to fetch a report from.")] = None,
    processor: Annotated[str, typer.Option(help="Whose payments are compared.")] = "acquirer",
    since: DayOption = None,
    until: DayOption = None,
    output: OutputOption = None,
    page: Annotated[int, typer.Option(min=1, max=PAGE, help="Rows compared at once.")] = PAGE,
    as_json: JsonOption = False,
) -> None:
    """Compare an acquirer's report with the books: matched, missing here, missing there, amount differs.

    Attempts that began on SINCE or later and before UNTIL are compared; by default all up to ten minutes before the
    report was made. Exit status: 0 all agrees, 1 exceptions were found, 2 it could not be done.
    """

    async def work(job: Job) -> Outcome:
        if (report is None) == (acquirer is None):
            raise JobError("name either --report or --acquirer")
        path = report or _fetch(acquirer or "", output_folder(output, job.name))
        runs = RunRepository(job.database, job.name)
        service = ReconciliationService(ReconciliationRepository(job.database), runs, SystemClock(), page=page)
        checked = Report.read(path)
        run = await service.reconcile(checked, processor, job.meter, since=moment_of(since), until=moment_of(until))
        facts = {"report": str(path), "digest": checked.digest, "generated_at": checked.generated_at.isoformat()}
        return await findings_outcome(runs, run, facts)

    sys.exit(run_job("reconcile", work, as_json=as_json))


def _fetch(url: str, folder: Path) -> Path:
    """Keep the report in a file first: what was compared can be looked up later."""
    if not url.startswith(("http://", "https://")):
        raise JobError("--acquirer: must start with http:// or https://")
    path = folder / "report.csv"
    with (
        whole_file(path) as draft,
        urllib.request.urlopen(f"{url.rstrip('/')}/v1/report", timeout=_TIMEOUT_S) as answer,
        draft.open("xb") as file,
    ):
        shutil.copyfileobj(answer, file)
    return path.replace(folder / f"report-{Report.read(path).digest[:16]}.csv")


if __name__ == "__main__":
    typer.run(reconcile)
