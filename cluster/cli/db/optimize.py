"""`easypay db advise|indexes|journal`: what the database lacks or pays for in vain, and what was done about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from pydantic_core import to_json
from rich.table import Table

from actors.optimizer.actor import APPLICATION_NAME
from actors.optimizer.builds import Busy, NotBuilt
from actors.optimizer.catalog import Index
from actors.optimizer.journal import Entry, Journal
from actors.optimizer.policy import Drops, Policy
from actors.optimizer.redundancy import burdens
from actors.optimizer.report import Report
from actors.optimizer.rounds import Memory, act, look, undo
from actors.optimizer.server import NotSupported, read_catalog, read_facts
from actors.pool.connector import Connection
from actors.pool.faults import DRIVER_ERRORS
from cluster.cli.options import DataDirOption, JsonOption, data_dir, fail, results, settings_of

_MB = 1e6
_CONNECT_TIMEOUT_S = 10.0
_TEXT_MAX = 100
Answer = TypeVar("Answer")

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="EASYPAY_DB_URL",
        show_default=False,
        show_envvar=False,
        help="Any PostgreSQL from 14 on that has pg_stat_statements. Default: that of the gateway.",
    ),
]


def advise(
    url: UrlOption = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Try the indexes, keep those that a measure proves, drop the burdens.")
    ] = False,
    watch_s: Annotated[
        float, typer.Option("--watch", min=0, max=3600, help="Seconds to look on at what is sent, to learn constants.")
    ] = 2.0,
    observed_h: Annotated[
        float, typer.Option("--observed", min=0, help="Hours of statistics before an index is called unused.")
    ] = 24.0,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Say which indexes the workload lacks and which cost writes in vain. Changes nothing without --apply.

    On a database that is not the gateway's, --apply makes the tables optimizer_journal and optimizer_epochs and may
    drop any index that serves nobody; on the gateway's own only those that the optimizer made.
    """
    drops = Drops.OWN if url is None else Drops.ALL
    policy = Policy(drops=drops, watch_s=watch_s, observe_min_s=observed_h * 3600)
    step = act if apply else look
    report = _ask(url, directory, lambda connection: step(connection, policy, Memory()))
    if as_json:
        print(_json(report))
        return
    _show(report)


def indexes(url: UrlOption = None, as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """List the indexes with their size and use, and what is wrong with them."""
    listed = _ask(url, directory, _indexes)
    if as_json:
        print(_json({"data": listed}))
        return
    table = Table("Table", "Index", "MB", "Scans", "Constraint", "Fault", "Why", box=None, padding=(0, 2))
    for each in listed:
        table.add_row(
            each["table"],
            each["index"],
            f"{each['size_bytes'] / _MB:.1f}",
            f"{each['scans']:,}",
            "yes" if each["constrains"] else "",
            each["fault"] or "",
            each["reason"] or "",
        )
    results().print(table)


def journal(
    url: UrlOption = None,
    undo_id: Annotated[int | None, typer.Option("--undo", help="The number of an entry to undo.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """List what was done to indexes and why, or undo one entry."""
    if undo_id is not None:
        number = undo_id
        entries: Sequence[Entry] = [_ask(url, directory, lambda connection: undo(connection, Policy(), number))]
    else:
        entries = _ask(url, directory, lambda connection: Journal(connection).entries(limit))
    if as_json:
        print(_json({"data": entries}))
        return
    results().print(_entries(entries))


def _ask(url: str | None, directory: Path | None, step: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    """Run a step on a connection to the database; end the command where that cannot be."""
    try:
        return asyncio.run(_connected(url or _own_url(directory), step))
    except Busy:
        fail("another session changes indexes of this database now; try again later")
    except (LookupError, NotBuilt, NotSupported) as error:
        fail(str(error))
    except (OSError, TimeoutError, *DRIVER_ERRORS) as error:
        fail(f"the database: {type(error).__name__}: {error}")


async def _connected(url: str, step: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    connection = await asyncpg.connect(
        url, timeout=_CONNECT_TIMEOUT_S, server_settings={"application_name": APPLICATION_NAME}
    )
    try:
        return await step(connection)
    finally:
        connection.terminate()


def _own_url(directory: Path | None) -> str:
    settings = settings_of(data_dir(directory))
    if settings.owner_url is None:
        fail("no database: give --database-url, set DATABASE_URL, or start the gateway with `easypay up`")
    return settings.owner_url.get_secret_value()


async def _indexes(connection: Connection) -> list[dict[str, Any]]:
    facts = await read_facts(connection)
    catalog = await read_catalog(connection, facts.search_path)
    found = burdens(catalog, used=frozenset(), observed_s=facts.observed_s, observe_min_s=Policy().observe_min_s)
    wrong = {burden.index.oid: burden for burden in found}
    return [_listed(index, wrong) for index in catalog.indexes()]


def _listed(index: Index, wrong: dict[int, Any]) -> dict[str, Any]:
    burden = wrong.get(index.oid)
    return {
        "table": str(index.table),
        "index": index.name,
        "definition": index.definition,
        "size_bytes": index.size_bytes,
        "scans": index.scans,
        "constrains": index.constrains or index.unique,
        "made_by_optimizer": index.is_ours,
        "fault": burden.fault.value if burden is not None else None,
        "reason": burden.reason if burden is not None else None,
    }


def _show(report: Report) -> None:
    console = results()
    statements = Table("Statement", "Calls", "Mean ms", "Measured ms", "Text", box=None, padding=(0, 2))
    for each in report.statements:
        measured = each.why_not or "" if each.measured_ms is None else f"{each.measured_ms:.3f}"
        row = (str(each.query_id), f"{each.calls:,}", f"{each.mean_ms:.3f}", measured, each.text[:_TEXT_MAX])
        statements.add_row(*row)
    console.print(statements)
    for proposal in report.proposals:
        console.print(f"\n{proposal.ddl};", markup=False)
        console.print(f"  about {proposal.estimated_bytes / _MB:.1f} MB; {proposal.why}", markup=False)
    for burden in report.burdens:
        text = f"\n{burden.fault.value}: {burden.index.name} ({burden.index.size_bytes / _MB:.1f} MB): {burden.reason}"
        console.print(text, markup=False)
    for warning in report.warnings:
        console.print(f"\nstatement {warning.query_id} {warning.text}", markup=False)
    if report.actions:
        console.print(_entries(report.actions))
    if not (report.proposals or report.burdens or report.actions):
        console.print("\nNothing to do.")


def _entries(entries: Sequence[Entry]) -> Table:
    table = Table("Entry", "At", "Action", "Index", "Before ms", "After ms", "Undone", "Why", box=None, padding=(0, 2))
    for each in entries:
        table.add_row(
            str(each.id),
            each.at.isoformat(timespec="seconds"),
            each.action,
            each.index_name,
            "" if each.before_ms is None else f"{each.before_ms:.1f}",
            "" if each.after_ms is None else f"{each.after_ms:.1f}",
            "" if each.undone_at is None else f"by {each.undone_by}",
            each.why,
        )
    return table


def _json(value: Any) -> str:
    return to_json(value).decode()
