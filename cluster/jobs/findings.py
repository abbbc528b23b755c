"""How jobs that look for what is wrong tell of it."""

from __future__ import annotations

import json
from typing import Any

from cluster.jobs.process import Outcome
from serve_app.batch.runs import Run, RunRepository
from serve_app.domain.ids import Prefix, public_id

_SHOWN = 20
_IN_JSON = 1000


async def findings_outcome(runs: RunRepository, run: Run, facts: dict[str, Any]) -> Outcome:
    """Return the outcome of a run that has ended: counts, exceptions by kind, and the first of them with numbers."""
    kinds = await runs.exception_counts(run)
    total = sum(kinds.values())
    found = await runs.exceptions(run, _IN_JSON)
    name = public_id(Prefix.RUN, run.id)
    lines = [", ".join(f"{count:,} {what}" for what, count in sorted(run.counts.items())) or "nothing to compare"]
    lines += [f"{count:,} {kind}" for kind, count in kinds.items()]
    lines += [f"#{one.number} {one.kind} {one.subject} {json.dumps(one.detail)}" for one in found[:_SHOWN]]
    if total > _SHOWN:
        lines.append(f"... {total - _SHOWN:,} more in the table job_exceptions, run_id {run.id}")
    lines.append(f"{'No exceptions' if not total else f'{total:,} exceptions'} ({name})")
    return Outcome(
        {
            **facts,
            "run": name,
            "started_at": run.started_at.isoformat(),
            "finished_at": run.finished_at.isoformat() if run.finished_at else None,
            "counts": dict(run.counts),
            "exceptions": kinds,
            "exceptions_total": total,
            "first_exceptions": [one._asdict() for one in found],
        },
        lines,
        total,
    )
