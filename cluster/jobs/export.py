"""Export to Parquet: `python -m cluster.jobs.export [--since DAY] [--until DAY] [--output FOLDER] [--json]`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import ray
import ray.data
import typer

from actors.runtime.errors import ActorError
from cluster.composition import compose
from cluster.jobs.options import DayOption, JsonOption, OutputOption, day_of
from cluster.jobs.process import Job, JobError, Outcome, open_database, output_folder, run_job
from cluster.settings import Settings, load_settings
from serve_app.batch.files import remove_drafts
from serve_app.config import GatewayConfig
from serve_app.exports.manifest import Manifest
from serve_app.exports.ranges import TABLES, ExportRange
from serve_app.exports.repository import PAGE, ExportRepository, ReplicaBehind
from serve_app.exports.writer import write_range

_PARALLEL = 2
# A replica that is away is waited for no longer than others can be asked instead.
_REPLICA_REPEAT_S = 2.0

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


def export(
    since: DayOption = None,
    until: DayOption = None,
    output: OutputOption = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Ranges that are read at once.")] = _PARALLEL,
    page: Annotated[int, typer.Option(min=1, max=50_000, help="Rows that are read at once.")] = PAGE,
    as_json: JsonOption = False,
) -> None:
    """Write the payments, refunds and events of the days from SINCE until before UNTIL as Parquet, a folder for a day.

    By default all days before today (UTC). What the folder has is not written again. Rows come from a replica where
    there is one.
    """

    async def work(job: Job) -> Outcome:
        end = day_of(until) or datetime.now(UTC).date()
        if end > datetime.now(UTC).date():
            raise JobError("--until: must not be later than today (UTC), whose rows are still being written")
        folder = output_folder(output, job.name).absolute()
        with Manifest.open(folder) as manifest:
            remove_drafts(folder)
            begin = await _plan(job, manifest, day_of(since), end, page)
            ranges = manifest.open_ranges(begin, end)
            job.meter.begin("write files", len(ranges))
            if ranges:
                await asyncio.to_thread(_write, ranges, folder, end, manifest, job, parallel, page)
            return _outcome(folder, begin, end, len(ranges), manifest)

    sys.exit(run_job("export", work, as_json=as_json))


async def _plan(job: Job, manifest: Manifest, since: date | None, until: date, page: int) -> date:
    """Have the manifest know the ranges of every day; return the first day."""

    async def plan(repository: ExportRepository) -> date:
        begin = since or await repository.first_day() or until
        for number in range((until - begin).days):
            day = begin + timedelta(days=number)
            if not manifest.has_day(day):
                manifest.add_day(day, await repository.plan(day))
        return begin

    return await _read(
        plan, job.settings, job.config, job.name, leased=job.in_gateway, number=0, until=until, page=page
    )


def _write(
    ranges: Sequence[ExportRange], folder: Path, until: date, manifest: Manifest, job: Job, parallel: int, page: int
) -> None:
    if not job.in_gateway:
        # Without a gateway's Ray, one for this run alone.
        ray.init(num_cpus=parallel, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    items = [
        {
            "number": number,
            "folder": str(folder),
            "until": until.isoformat(),
            "page": page,
            "leased": job.in_gateway,
        }
        for number in range(len(ranges))
    ]
    for result in _results(ranges, items, parallel):
        manifest.add_done(result["name"], {"rows": result["rows"], "bytes": result["bytes"]})
        job.meter.advance(1)


def _results(
    ranges: Sequence[ExportRange], items: Sequence[dict[str, Any]], parallel: int
) -> Iterator[Mapping[str, Any]]:
    """Have Ray Data write the ranges, one a task; yield each as it is done."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    dataset = ray.data.from_items(list(items), override_num_blocks=len(items))

    def write(item: dict[str, Any]) -> dict[str, Any]:
        # The ranges come along with the function: as a column a range's merchants would become an array.
        one = ranges[item["number"]]
        return {"name": one.name, **asyncio.run(_write_one(one, item))}

    yield from dataset.map(write, concurrency=parallel, num_cpus=1).iter_rows()


async def _write_one(one: ExportRange, item: Mapping[str, Any]) -> dict[str, int]:
    """Write a range in a process of Ray, which finds the settings by itself: no secret travels."""
    settings = load_settings()
    return await _read(
        lambda repository: write_range(repository, one, Path(item["folder"])),
        settings,
        compose(settings),
        "export-range",
        leased=item["leased"],
        number=item["number"],
        until=date.fromisoformat(item["until"]),
        page=item["page"],
    )


async def _read(
    work: Callable[[ExportRepository], Awaitable[Result]],
    settings: Settings,
    config: GatewayConfig,
    name: str,
    *,
    leased: bool,
    number: int,
    until: date,
    page: int,
) -> Result:
    """Do repeatable work on a replica that has all before `until`, another for each number; where none has, or it fails
    on each of them, on the primary.
    """
    urls = [url.get_secret_value() for url in settings.database_replica_urls]
    start = number % len(urls) if urls else 0
    for url in urls[start:] + urls[:start]:
        try:
            async with open_database(config, name, leased=leased, replica_url=url) as database:
                repository = ExportRepository(database, page=page, repeat_s=_REPLICA_REPEAT_S)
                await repository.require_standby()
                await repository.require_current(until)
                return await work(repository)
        except (ActorError, ReplicaBehind) as fault:
            _logger.warning("a replica is passed over: %s", fault)
    async with open_database(config, name, leased=leased) as database:
        return await work(ExportRepository(database, page=page))


def _outcome(folder: Path, since: date, until: date, written: int, manifest: Manifest) -> Outcome:
    rows: defaultdict[str, int] = defaultdict(int, dict.fromkeys(TABLES, 0))
    files, size = 0, 0
    for one, result in manifest.results(since, until):
        rows[one.table] += result["rows"]
        size += result["bytes"]
        files += 1
    lines = [f"{count:,} {table}" for table, count in rows.items()]
    lines.append(f"{files} files, {size:,} bytes, {written} of them written now: {folder}")
    facts = {
        "since": since, "until": until, "output": folder, "rows": rows, "files": files, "bytes": size,
        "files_written": written,
    }  # fmt: skip
    return Outcome(facts, lines)


if __name__ == "__main__":
    typer.run(export)
