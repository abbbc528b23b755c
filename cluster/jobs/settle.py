"""Settle days: `python -m cluster.jobs.settle [--day DAY] [--output FOLDER] [--json]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from actors.runtime.clock import SystemClock
from cluster.jobs.options import DayOption, JsonOption, OutputOption, day_of
from cluster.jobs.process import Job, Outcome, output_folder, run_job
from serve_app.domain.money import Money
from serve_app.domain.settlement import FeeSchedule
from serve_app.settlements.repository import SettlementRepository
from serve_app.settlements.rows import DayTotals
from serve_app.settlements.service import COLLECT_PAGE, MARK_PAGE, SettlementService


def settle(
    day: DayOption = None,
    output: OutputOption = None,
    page: Annotated[int, typer.Option(min=1, max=MARK_PAGE, help="Payments that change at once.")] = MARK_PAGE,
    as_json: JsonOption = False,
) -> None:
    """Settle every day (UTC) up to DAY, by default yesterday, that is not settled yet, and write its payout files."""

    async def work(job: Job) -> Outcome:
        last = day_of(day) or datetime.now(UTC).date() - timedelta(days=1)
        folder = output_folder(output, job.name)
        fees = FeeSchedule(job.settings.settlement_fee_basis_points, job.settings.settlement_fee_fixed_minor)
        service = SettlementService(
            SettlementRepository(job.database),
            job.changes,
            SystemClock(),
            fees,
            collect_page=min(COLLECT_PAGE, 5 * page),
            mark_page=page,
        )
        return _outcome(last, folder, await service.settle_until(last, folder, job.meter))

    sys.exit(run_job("settle", work, as_json=as_json, tells_caches=True))


def _outcome(last: date, folder: Path, totals: Sequence[DayTotals]) -> Outcome:
    lines = [
        f"{total.day} {'live' if total.livemode else 'test'} {total.settlements} settlements: "
        f"captured {Money(total.captured_minor, total.currency)} ({total.captures}), "
        f"refunded {Money(total.refunded_minor, total.currency)} ({total.refunds}), "
        f"fees {Money(total.fee_minor, total.currency)}, payout {Money(total.payout_minor, total.currency)}, "
        f"carried {Money(total.carried_out_minor, total.currency)}"
        for total in totals
    ]
    lines.append(f"Settled up to {last}. Payout files: {folder}")
    facts = {"settled_until": last, "output": folder, "days": [asdict(total) for total in totals]}
    return Outcome(facts, lines)


if __name__ == "__main__":
    typer.run(settle)
