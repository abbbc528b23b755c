"""A job as a process: it joins the gateway's Ray, leases connections, runs, and ends with an exit code."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from actors.pool.client import PoolManagerClient
from actors.pool.database import Database
from actors.runtime.errors import ActorError
from cluster.composition import ACTOR_NAMESPACE, compose
from cluster.jobs.meter import BarMeter, LineMeter, meter
from cluster.settings import Settings, SettingsError, load_settings, ray_address, settings_folder
from serve_app.batch.lock import JobRunning, exclusive
from serve_app.caching.changes import Changes
from serve_app.config import GatewayConfig
from serve_app.exports.manifest import ExportRunning
from serve_app.exports.repository import ReplicaBehind
from serve_app.logs import STANDARD_ERROR, configure_logging
from serve_app.reconciliation.report import ReportFault
from serve_app.services import open_cache
from serve_app.settlements.service import DayNotOver

CONNECTIONS = 2
COMMAND_TIMEOUT_S = 60.0
EXCEPTIONS_FOUND = 1
FAILED = 2
"""The exit code where the job did not do its work: it differs from that of exceptions found."""


class JobError(Exception):
    """The job cannot run as it was asked to; the text says why."""


_EXPECTED = (
    ActorError, DayNotOver, ExportRunning, JobError, JobRunning, OSError, ReplicaBehind, ReportFault, SettingsError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job tells at its end: facts for `--json`, lines for people, and whether it found exceptions."""

    facts: dict[str, Any]
    lines: list[str]
    exceptions: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """What a job works with."""

    name: str
    settings: Settings
    config: GatewayConfig
    database: Database
    changes: Changes
    meter: BarMeter | LineMeter
    in_gateway: bool
    """Whether it runs in the gateway's Ray, where connections are leased."""


def run_job(name: str, work: Callable[[Job], Awaitable[Outcome]], *, as_json: bool, tells_caches: bool = False) -> int:
    """Run a job to its end, print its outcome and return the exit code: 0 done, 1 exceptions found, 2 failed.

    `tells_caches`: it changes what is cached, so it needs the gateway's Ray unless nothing is cached.
    """
    try:
        settings = load_settings()
        configure_logging(settings.log_level, STANDARD_ERROR)
        in_gateway = join_ray()
        with meter() as shown:
            outcome = asyncio.run(_run(name, settings, work, shown, tells_caches, in_gateway))
    except _EXPECTED as error:
        print(f"{name}: {error}", file=sys.stderr)
        return FAILED
    except Exception:
        # Python's own exit code would pass for exceptions found.
        Console(stderr=True).print_exception()
        return FAILED
    if as_json:
        print(json.dumps(outcome.facts, default=str))
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
        for line in outcome.lines:
            console.print(line, markup=False)
    return EXCEPTIONS_FOUND if outcome.exceptions else 0


def join_ray() -> bool:
    """Join the gateway's Ray where this process was started by it, or was told of it; return whether it did."""
    if ray_address() is None:
        return False
    if not ray.is_initialized():
        ray.init(namespace=ACTOR_NAMESPACE, log_to_driver=False, logging_level=logging.WARNING)
    return True


def output_folder(option: Path | None, name: str) -> Path:
    """Return where a job writes: the option, else `jobs/NAME` in the gateway's data directory.

    Raises:
        JobError: there is neither.
    """
    if option is not None:
        return option
    folder = settings_folder()
    if folder is None:
        raise JobError("--output: say where to write, a folder that all machines of the cluster share")
    return folder.parent / "jobs" / name


async def _run(
    name: str,
    settings: Settings,
    work: Callable[[Job], Awaitable[Outcome]],
    shown: BarMeter | LineMeter,
    tells_caches: bool,
    in_gateway: bool,
) -> Outcome:
    config = compose(settings)
    if tells_caches and config.cache_shards > 0 and not in_gateway:
        raise JobError("the gateway caches what this job changes, so it has to run in its Ray: easypay job")
    async with (
        exclusive(config.database_url, name),
        open_database(config, name, leased=in_gateway) as database,
        _open_changes(config, name, tells_caches) as changes,
    ):
        return await work(Job(name, settings, config, database, changes, shown, in_gateway))


@asynccontextmanager
async def _open_changes(config: GatewayConfig, name: str, tells_caches: bool) -> AsyncIterator[Changes]:
    cache = open_cache(config, f"job-{name}") if tells_caches else None
    try:
        yield Changes(cache)
    finally:
        if cache is not None:
            await cache.close()


@asynccontextmanager
async def open_database(
    config: GatewayConfig, name: str, *, leased: bool, replica_url: str | None = None
) -> AsyncIterator[Database]:
    """Open a replica, or else the gateway's database, there on connections of its budget where they are leased."""
    leases = leased and replica_url is None
    database = await Database.open(
        replica_url or config.database_url,
        name=f"job-{name}",
        manager=PoolManagerClient(config.actor_namespace) if leases else None,
        want=CONNECTIONS,
        command_timeout_s=COMMAND_TIMEOUT_S,
    )
    try:
        yield database
    finally:
        await database.close()
